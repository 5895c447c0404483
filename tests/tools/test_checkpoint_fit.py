"""Checkpoints of mmdet's zoo and of other models, through tools/test.py and tools/train.py."""

import json

import pytest
import torch
from mmdet.datasets import CocoDataset
from mmdet.registry import MODELS
from mmengine.config import Config

from sparse_rcnn_ext.analysis.benchmark.mmdet_config import mmdet_model


@pytest.fixture(scope='module')
def zoo(tmp_path_factory, tiny_config) -> tuple:
    """mmdet's own SparseRCNN as a config, and its weights as the zoo has them: what mmdet 2 wrote."""
    folder = tmp_path_factory.mktemp('zoo')
    cfg = Config.fromfile(tiny_config)
    theirs = cfg.copy()
    theirs.model = mmdet_model(cfg.model)
    # Nothing of ours but the scope, in which its evaluator is.
    theirs.default_hooks.pop('checkpoint_fit')
    theirs.dump(folder / 'theirs.py')
    torch.manual_seed(0)
    model = MODELS.build(theirs.model)
    model.init_weights()
    with torch.no_grad():
        for stage in model.roi_head.bbox_head:
            stage.fc_cls.bias.normal_(-2, 1)
    meta = dict(
        env_info='sys.platform: linux',
        config='model = dict(type="SparseRCNN")',
        seed=0,
        exp_name='sparse_rcnn_r50_fpn_1x_coco.py',
        epoch=12,
        iter=87960,
        mmdet_version='2.7.0+dc79b13',
        CLASSES=CocoDataset.METAINFO['classes'],
        hook_msgs={},
    )
    torch.save(dict(meta=meta, state_dict=model.state_dict()), folder / 'zoo.pth', _use_new_zipfile_serialization=False)
    return folder / 'theirs.py', folder / 'zoo.pth'


@pytest.fixture
def refused(run_here, tmp_path, monkeypatch):
    """``refused(*arguments)``: the sentence in which tools/test.py ends, run in ``tmp_path``."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> str:
        with pytest.raises(SystemExit) as stop:
            run_here('test.py', *arguments)
        assert '\n' not in stop.value.code
        return stop.value.code

    return run


def test_zoo_checkpoint_needs_no_conversion(zoo, tiny_config, run_here, tmp_path):
    """Ours finds what mmdet's own model finds with it."""
    found = []
    for config, options in ((zoo[0], ()), (tiny_config, ('--cfg-options', 'model.test_cfg.clip_boxes=False'))):
        places = ['--out', tmp_path / 'found.json', '--work-dir', tmp_path / 'tested']
        run_here('test.py', config, zoo[1], *places, *options)
        detections = json.loads((tmp_path / 'found.json').read_text())
        found.append(sorted(detections, key=lambda one: (one['image_id'], -one['score'])))
    theirs, ours = found
    assert len(theirs) == len(ours) == 3 * 40
    for one, other in zip(theirs, ours, strict=True):
        assert (one['image_id'], one['category_id']) == (other['image_id'], other['category_id'])
        assert one['score'] == pytest.approx(other['score'], abs=1e-5)
        assert one['bbox'] == pytest.approx(other['bbox'], abs=0.05)


def test_other_sizes_are_refused_with_what_to_set(zoo, tiny_config, refused, tmp_path):
    options = ['model.roi_head.num_stages=3', 'model.rpn_head.num_proposals=30', 'model.test_cfg.num_stages=1']
    line = refused(tiny_config, zoo[1], '--cfg-options', *options)
    assert line.startswith(f'error: {zoo[1]} does not fit the config; ')
    assert 'rpn_head.init_proposal_bboxes.weight is 40×4 in the file and 30×4 in the model; ' in line
    wishes = 'set model.roi_head.num_stages to 2 and model.rpn_head.num_proposals to 40, or give a checkpoint'
    assert wishes in line


def test_another_detector_is_refused(tiny_config, refused, tmp_path):
    """By a config of ours, and by one that lacks our hook."""
    heads = dict(type='RPNHead', in_channels=32, feat_channels=16)
    cfg = Config.fromfile(tiny_config)
    backbone = {f'backbone.{name}': value for name, value in MODELS.build(cfg.model.backbone).state_dict().items()}
    heads = {f'rpn_head.{name}': value for name, value in MODELS.build(heads).state_dict().items()}
    torch.save(dict(meta={}, state_dict={**backbone, **heads}), tmp_path / 'rpn.pth')
    cfg.default_hooks.pop('checkpoint_fit')
    cfg.dump(tmp_path / 'no_hook.py')
    shared = sum(not name.endswith('num_batches_tracked') for name in backbone)
    for config in (tiny_config, 'no_hook.py'):
        line = refused(config, 'rpn.pth')
        assert f'rpn.pth does not fit the config; {shared} of ' in line
        assert 'neck.lateral_convs.0.conv.weight (32×8×1×1) is not in the file; ' in line
        assert line.endswith(': give the config that it was trained with')


def test_official_checkpoint_is_sent_to_the_converter(tiny_config, refused, tmp_path):
    torch.save(dict(model={'init_proposal_boxes.weight': torch.zeros(40, 4)}), tmp_path / 'official.pth')
    line = refused(tiny_config, 'official.pth')
    assert line.startswith('error: official.pth has the names of the official repository: run tools/convert/official_')


def test_file_that_is_no_checkpoint(tiny_config, refused, tmp_path):
    (tmp_path / 'page.pth').write_text('<html>not found</html>')
    line = refused(tiny_config, 'page.pth')
    assert line.startswith('error: page.pth is no file of torch.save, or was cut off: the second argument must name')


def test_training_goes_on_from_another_number_of_stages(zoo, tiny_config, run_here, tmp_path):
    """What fits is taken, and the log says what does not."""
    options = ['model.roi_head.num_stages=3', f'load_from={zoo[1]}', 'train_dataloader.dataset.indices=2']
    options += ['val_cfg=None', 'val_dataloader=None', 'val_evaluator=None', 'optim_wrapper.optimizer.lr=0']
    options += ['optim_wrapper.optimizer.weight_decay=0']
    run_here('train.py', tiny_config, '--work-dir', tmp_path / 'run', '--cfg-options', *options)
    (log,) = (tmp_path / 'run').glob('*/*.log')
    (line,) = [line for line in log.read_text().splitlines() if 'fits the config in part' in line]
    assert 'roi_head.bbox_head.2.attention.attn.in_proj_weight (96×32) is not in the file' in line
    assert line.endswith('The rest keeps its fresh initialisation.')
    state = torch.load(tmp_path / 'run/epoch_1.pth', map_location='cpu', weights_only=False)['state_dict']
    for name, value in torch.load(zoo[1], weights_only=True)['state_dict'].items():
        if 'running' not in name and 'num_batches' not in name:
            assert torch.equal(state[name], value), name
