"""Official checkpoints through the command: what it writes computes what the official implementation does."""

import pickle
import re
import shlex

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config, DictAction

from tests.parity.golden_values import assert_golden_detections, golden_batch, load_golden

TO_OURS, TO_OFFICIAL = 'convert/official_to_mmdet.py', 'convert/mmdet_to_official.py'


@pytest.fixture(scope='module')
def golden(shared_dir) -> dict:
    return load_golden(shared_dir)


@pytest.fixture(scope='module')
def sources(golden, shared_dir, tmp_path_factory) -> dict:
    """The golden weights as the official repository's two kinds of files hold them."""
    pkl = tmp_path_factory.mktemp('official') / 'tiny.pkl'
    arrays = {name: value.numpy() for name, value in golden['model'].items()}
    pkl.write_bytes(pickle.dumps(dict(model=arrays, __author__='official', matching_heuristics=True), protocol=2))
    return {'.pth': shared_dir / 'golden/official_tiny.pth', '.pkl': pkl}


def as_told(printed: str, repo_dir, golden: dict):
    """The model that the command names: its config, with the options of its last line."""
    line = printed.splitlines()[-1]
    words = shlex.split(line.partition('python ')[2])
    assert words[0] == 'tools/test.py' and words[3] == '--cfg-options'
    assert f'Config: {words[1]}' in printed.splitlines()
    cfg = Config.fromfile(repo_dir / words[1])
    options = dict(word.split('=', 1) for word in words[4:])
    cfg.merge_from_dict({name: DictAction._parse_iterable(value) for name, value in options.items()})
    # These are not in the weights.
    cfg.model.roi_head.bbox_head.num_heads = golden['settings']['heads']
    cfg.model.backbone.init_cfg = None
    cfg.model.data_preprocessor.bgr_to_rgb = False
    assert cfg.model.data_preprocessor.mean == golden['settings']['pixel_mean']
    assert cfg.model.data_preprocessor.std == golden['settings']['pixel_std']
    return MODELS.build(cfg.model).to(torch.float64), words[2]


@pytest.mark.parametrize('suffix', ['.pth', '.pkl'])
def test_detections_of_the_official_implementation(
    suffix, sources, golden, repo_dir, run_here, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    run_here(TO_OURS, sources[suffix], 'new/ours.pth')
    printed = capsys.readouterr().out
    assert 'Wrote new/ours.pth: ResNet-50, 12 proposals, 3 stages, 5 classes.' in printed
    model, out = as_told(printed, repo_dir, golden)
    saved = torch.load(tmp_path / out, weights_only=True)
    missing, unexpected = model.load_state_dict(saved['state_dict'], strict=False)
    assert not unexpected and all(name.endswith('num_batches_tracked') for name in missing)
    with torch.no_grad():
        outputs = model.train()._forward(*golden_batch(golden, model, torch.float64))
        results = model.eval().predict(*golden_batch(golden, model, torch.float64), rescale=False)
    torch.testing.assert_close(outputs.logits, golden['stage_logits'], rtol=1e-9, atol=0)
    torch.testing.assert_close(outputs.boxes, golden['stage_boxes'], rtol=1e-9, atol=1e-9)
    assert_golden_detections(golden, results)


@pytest.mark.parametrize('suffix', ['.pth', '.pkl'])
def test_there_and_back(suffix, sources, golden, run_here, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for tool, source, out in ((TO_OURS, sources['.pth'], 'ours.pth'), (TO_OFFICIAL, 'ours.pth', f'back{suffix}')):
        run_here(tool, source, out)
    config = 'projects/SparseRCNN/configs/sparsercnn.res50.100pro.3x.yaml'
    printed = capsys.readouterr().out
    assert f'Config: {config}\n' in printed
    settings = re.search(r'MODEL\.WEIGHTS back\S+ (.*)', printed)[1].split()
    assert dict(zip(settings[::2], settings[1::2], strict=True)) == {
        'MODEL.RESNETS.STEM_OUT_CHANNELS': '8',
        'MODEL.RESNETS.RES2_OUT_CHANNELS': '32',
        'MODEL.RESNETS.WIDTH_PER_GROUP': '8',
        'MODEL.FPN.OUT_CHANNELS': '32',
        'MODEL.SparseRCNN.NUM_PROPOSALS': '12',
        'MODEL.SparseRCNN.NUM_HEADS': '3',
        'MODEL.SparseRCNN.NUM_CLASSES': '5',
        'MODEL.SparseRCNN.HIDDEN_DIM': '32',
        'MODEL.SparseRCNN.DIM_FEEDFORWARD': '64',
        'MODEL.SparseRCNN.DIM_DYNAMIC': '8',
    }
    path = tmp_path / f'back{suffix}'
    content = torch.load(path) if suffix == '.pth' else pickle.loads(path.read_bytes())
    assert list(content['model']) == list(golden['model'])
    for name, value in golden['model'].items():
        assert torch.equal(torch.as_tensor(content['model'][name]), value)


def test_softmax_there_and_back(golden, repo_dir, run_here, tmp_path, monkeypatch, capsys):
    """Of the golden model's classes the last one is taken for "no object": the logits are the same."""
    monkeypatch.chdir(tmp_path)
    weights = {**golden['model'], 'criterion.empty_weight': torch.tensor([1.0, 1, 1, 1, 0.1])}
    torch.save(dict(model=weights), 'official.pth')
    run_here(TO_OURS, 'official.pth', 'ours.pth')
    printed = capsys.readouterr().out
    assert '3 stages, 4 classes in one softmax.' in printed
    model, out = as_told(printed, repo_dir, golden)
    model.load_state_dict(torch.load(out, weights_only=True)['state_dict'], strict=False)
    with torch.no_grad():
        batch = golden_batch(golden, model, torch.float64)
        outputs = model.train()._forward(*batch)
        model.clip_boxes = False  # so that each proposal is one
        found = model.eval().predict(*batch, rescale=False)
    torch.testing.assert_close(outputs.logits, golden['stage_logits'], rtol=1e-9, atol=0)
    best = golden['stage_logits'][-1].softmax(-1)[..., :-1].amax(-1).sort(descending=True)[0]
    torch.testing.assert_close(torch.stack([sample.pred_instances.scores for sample in found]), best)

    for source, options in (('ours.pth', ()), ('bare.pth', ('--softmax',))):
        if options:
            torch.save(torch.load('ours.pth', weights_only=True)['state_dict'], source)
        run_here(TO_OFFICIAL, source, 'back.pth', *options)
        printed = capsys.readouterr().out
        assert 'MODEL.SparseRCNN.NUM_CLASSES 4 ' in printed and 'MODEL.SparseRCNN.USE_FOCAL False' in printed
        back = torch.load('back.pth', weights_only=True)['model']
        assert back.keys() == weights.keys()
        assert all(torch.equal(back[name], value) for name, value in weights.items())


@pytest.mark.parametrize('tool', [TO_OURS, TO_OFFICIAL])
def test_one_sentence_and_no_file(tool, run_tool, tmp_path):
    torch.save(dict(model={'some.weight': torch.zeros(2)}), tmp_path / 'other.pth')
    result = run_tool(tool, 'other.pth', 'out.pth', cwd=tmp_path)
    assert result.returncode == 1 and 'Traceback' not in result.stdout
    assert re.fullmatch(r'error: other\.pth .* strange are some\.weight; give .*', result.stdout.splitlines()[-1])
    assert [path.name for path in tmp_path.iterdir()] == ['other.pth']


@pytest.mark.parametrize('tool', [TO_OURS, TO_OFFICIAL])
def test_a_folder_that_cannot_be_made(tool, shared_dir, run_here, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = shared_dir / 'golden/official_tiny.pth'
    if tool == TO_OFFICIAL:
        run_here(TO_OURS, source, source := tmp_path / 'ours.pth')
    (tmp_path / 'file').touch()
    with pytest.raises(
        SystemExit, match=r'cannot make the folder file \(File exists\): name another one as that of the'
    ):
        run_here(tool, source, 'file/out.pth')
