"""The 640-pixel recipe, shrunk by its knobs, trained and tested by the tools on real images."""

import json
import re

import pytest
import torch

from tests.configs.recipe_640 import RECIPE

KNOBS = [
    'long_side=96',
    'num_proposals=20',
    'batch_size=2',
    'base_lr=1e-3',
    'max_epochs=2',
    'warmup_iters=2',
    'decay=cosine',
    'amp=bf16',
    'frozen_bn=False',
    'debug=4',
    'cost_iou_type=diou',
    'loss_iou_type=ciou',
]
TINY = [
    'model.backbone.depth=18',
    'model.backbone.base_channels=8',
    'model.backbone.stem_channels=8',
    'model.backbone.init_cfg=None',
    'model.neck.in_channels=[8,16,32,64]',
    'model.neck.out_channels=32',
    'model.rpn_head.proposal_feature_channel=32',
    'model.roi_head.num_stages=2',
    'model.roi_head.bbox_head.in_channels=32',
    'model.roi_head.bbox_head.feedforward_channels=64',
    'model.roi_head.bbox_head.num_heads=4',
    'model.roi_head.bbox_head.dynamic_conv_cfg.feat_channels=8',
    'default_hooks.logger.interval=1',
    'default_hooks.report.enabled=False',
    *(
        f'{split}_dataloader.{setting}'
        for split in ('train', 'val', 'test')
        for setting in ('num_workers=0', 'persistent_workers=False')
    ),
]


@pytest.fixture
def options(shared_dir) -> list[str]:
    return ['--cfg-options', f'data_root={shared_dir}/data/coco_mini', *KNOBS, *TINY]


def test_trains_and_tests(options, run_tool, tmp_path):
    trained = run_tool('train.py', RECIPE, '--seed', 0, *options, cwd=tmp_path)
    assert trained.returncode == 0, trained.stdout
    run = tmp_path / 'work_dirs' / RECIPE.stem
    # The better of two epochs and the last; of 4 images, 2 a step.
    names = {path.name for path in run.glob('*.pth')}
    assert names in ({f'best_coco_bbox_mAP_epoch_{best}.pth', 'epoch_2.pth'} for best in (1, 2))
    saved = torch.load(run / 'epoch_2.pth', weights_only=False)
    assert (saved['meta']['iter'], saved['ema_state_dict']['steps']) == (4, 4)
    rates = [float(rate) for rate in re.findall(r'Epoch\(train\).* lr: (\S+) ', trained.stdout)]
    assert rates == pytest.approx([1e-5, 1e-3 * (1 + 0.5**0.5) / 2, 5e-4, 1e-3 * (1 - 0.5**0.5) / 2], rel=1e-3)

    raw = saved['ema_state_dict']['module.rpn_head.init_proposal_features.weight']
    assert not torch.equal(raw, saved['state_dict']['rpn_head.init_proposal_features.weight'])

    options += ['model.test_cfg.clip_boxes=False']  # so that the number of detections is known
    tested = run_tool('test.py', RECIPE, run / 'epoch_2.pth', '--out', 'found.json', *options, cwd=tmp_path)
    assert tested.returncode == 0, tested.stdout
    for printed in (trained.stdout, tested.stdout):
        assert re.search(r'coco/bbox_mAP: \d', printed)
    detections = json.loads((tmp_path / 'found.json').read_text())
    assert len(detections) == 4 * 20 and len({found['image_id'] for found in detections}) == 4


def test_sync_bn_on_two_processes_without_cuda(options, run_tool, tmp_path):
    options += ['sync_bn=torch', 'val_cfg=None', 'val_dataloader=None', 'val_evaluator=None']
    result = run_tool('dist_train.sh', RECIPE, 2, *options, cwd=tmp_path)
    assert result.returncode == 0, result.stdout
    assert 'sync_bn needs CUDA' in result.stdout


def test_wrong_knob_is_one_sentence(run_tool, tmp_path):
    result = run_tool('train.py', RECIPE, '--cfg-options', 'decay=linear', cwd=tmp_path)
    assert result.returncode == 1
    assert result.stdout.splitlines()[-1] == "error: decay is 'linear': set it to 'multistep' or 'cosine'"
