"""Stopping early, through the tools: the first stage misses by a fifth of a box, and the second corrects it."""

import json
from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from torch import nn

from sparse_rcnn_ext.ablation.outcome import read_metrics
from tests.datasets.tiny_coco import CAT, DOG, HEIGHT, WIDTH, box, categories, image, write
from tests.tools.conftest import TINY

# A shift by a fifth of the width leaves an IoU of 0.8 / 1.2, which four of COCO's ten thresholds accept.
FIRST = dict(AP=0.4, AP50=1.0, AP75=0.0)
SECOND = dict(AP=1.0, AP50=1.0, AP75=1.0)


def make_config(repo_dir: Path, folder: Path) -> Path:
    """Three images with two things each, always in the same places."""
    images = [image(number) for number in range(3)]
    boxes = [box(2 * n + place, n, 5, where) for n in range(3) for place, where in enumerate((CAT, DOG), start=1)]
    content = dict(images=images, annotations=boxes, categories=categories(thing=5))
    truth = write(folder / 'data/truth.json', content, folder / 'data')
    cfg = Config.fromfile(repo_dir / 'configs/sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py')
    cfg.merge_from_dict({name: value for name, value in TINY.items() if name.startswith('model.')})
    cfg.merge_from_dict({'model.rpn_head.num_proposals': 2, 'model.roi_head.bbox_head.num_classes': 1})
    cfg.test_dataloader.update(num_workers=0, persistent_workers=False)
    cfg.test_dataloader.dataset.update(
        data_root='', ann_file=str(truth), data_prefix=dict(img=f'{folder}/data/'), metainfo=dict(classes=('thing',))
    )
    cfg.test_dataloader.dataset.pipeline[1].scale = (160, 96)
    cfg.test_evaluator.ann_file = str(truth)
    cfg.dump(folder / 'dial.py')
    return folder / 'dial.py'


def make_checkpoint(config: Path) -> Path:
    """Proposals that are the truth; every stage finds a thing in each, and moves it as told."""
    torch.manual_seed(0)
    model = MODELS.build(Config.fromfile(config).model)
    model.init_weights()
    with torch.no_grad():
        places = [
            [(left + w / 2) / WIDTH, (top + h / 2) / HEIGHT, w / WIDTH, h / HEIGHT] for left, top, w, h in (CAT, DOG)
        ]
        model.rpn_head.init_proposal_bboxes.weight.copy_(torch.tensor(places))
        for stage, delta in zip(model.roi_head.bbox_head, (0.4, -0.4), strict=True):
            for layer in (stage.fc_cls, stage.fc_reg):
                nn.init.zeros_(layer.weight)
            stage.fc_cls.bias.fill_(2)
            stage.fc_reg.bias.copy_(torch.tensor([delta, 0, 0, 0]))
    path = config.with_name('moves.pth')
    torch.save(dict(state_dict=model.state_dict(), meta={}), path)
    return path


@pytest.fixture(scope='module')
def run(tmp_path_factory, repo_dir) -> tuple[Path, Path]:
    config = make_config(repo_dir, tmp_path_factory.mktemp('dial'))
    return config, make_checkpoint(config)


def test_table_of_all_stages(run, run_tool, tmp_path):
    options = ['--out', 'a folder', '--rounds', 3]
    result = run_tool('analysis/stage_dial.py', *run, *options, cwd=tmp_path)
    assert result.returncode == 0, result.stdout
    found = json.loads((tmp_path / 'a folder/stage_dial.json').read_text())
    assert [row['stages'] for row in found['rows']] == [1, 2]
    for row, expected in zip(found['rows'], (FIRST, SECOND), strict=True):
        assert {name: row[name] for name in expected} == pytest.approx(expected, abs=1e-9)
        assert len(row['seconds']) == 3 and 0 < min(row['seconds']) <= row['latency_seconds'] <= max(row['seconds'])
    report = (tmp_path / 'a folder/stage_dial.md').read_text()
    assert report in result.stdout
    assert '| 1 | 40.0 | 100.0 | 0.0 | ' in report and '| 2 | 100.0 | 100.0 | 100.0 | ' in report
    facts = '- model: dial.py, moves.pth\n- AP on: 3 images of test_dataloader\n- latency of: an image of 128 × 96 '
    assert facts in report
    assert (tmp_path / 'a folder/stage_dial.png').read_bytes().startswith(b'\x89PNG')


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        (['--stages', 1], FIRST),
        (['--cfg-options', 'model.test_cfg.num_stages=1'], FIRST),
        (['--stages', 2], SECOND),
        ([], SECOND),
    ],
)
def test_the_test_of_a_stage(run, options, expected, run_here, tmp_path):
    run_here('test.py', *run, '--work-dir', tmp_path, *options)
    metrics = read_metrics(tmp_path)
    assert [metrics[f'coco/bbox_mAP{end}'] for end in ('', '_50', '_75')] == list(expected.values())


def test_the_config_in_the_folder_of_a_run_stays(run, run_here, tmp_path):
    """Else the next test of that config would stop early too."""
    config = tmp_path / 'dial.py'
    config.write_bytes(run[0].read_bytes())
    run_here('test.py', config, run[1], '--stages', 1, '--work-dir', tmp_path)
    assert config.read_bytes() == run[0].read_bytes()
    (of_the_test,) = tmp_path.glob('*/vis_data/config.py')
    assert Config.fromfile(of_the_test).model.test_cfg.num_stages == 1


@pytest.mark.parametrize('options', [['--stages', 3], ['--cfg-options', 'model.test_cfg.num_stages=3']])
def test_a_stage_that_there_is_not(run, options, run_here, tmp_path):
    with pytest.raises(SystemExit) as stop:
        run_here('test.py', *run, '--work-dir', tmp_path, *options)
    assert stop.value.code == (
        'error: model.test_cfg.num_stages is 3, and the model has 2 stages: '
        'set it to a whole number from 1 to 2, or to None for all'
    )


def test_without_objects_there_is_no_ap(run, run_here, tmp_path):
    truth = Path(Config.fromfile(run[0]).test_evaluator.ann_file)
    (tmp_path / 'none.json').write_text(json.dumps(json.loads(truth.read_text()) | dict(annotations=[])))
    options = ['--rounds', 1, '--cfg-options', f'test_dataloader.dataset.ann_file={tmp_path}/none.json']
    with pytest.raises(SystemExit, match=r'the test set of .*dial\.py has no object: give one with some'):
        run_here('analysis/stage_dial.py', *run, *options)
