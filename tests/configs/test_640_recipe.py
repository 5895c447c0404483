"""The 640-pixel recipe: what its first band says arrives where it works, and nothing else is needed to change it."""

import ast

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config

from sparse_rcnn_ext.engine.speed.amp_optim_wrapper import AmpOptimWrapper
from sparse_rcnn_ext.errors import UserError
from tests.configs.recipe_640 import RECIPE, train_one_weight, turn

BAND = {
    'data_root': 'data/coco/',
    'long_side': 640,
    'num_proposals': 128,
    'batch_size': 2,
    'base_lr': 2.5e-5,
    'max_epochs': 36,
    'warmup_iters': 1000,
    'decay': 'multistep',
    'ema': True,
    'amp': None,
    'sync_bn': None,
    'frozen_bn': True,
    'clip_grad': True,
    'use_crowd': False,
    'remove_blank': True,
    'mosaic_cache': 0,
    'debug': 0,
    'match_weights': (1.0, 1.0, 1.0),
    'loss_weights': (2.0, 5.0, 2.0),
    'cost_iou_type': 'giou',
    'loss_iou_type': 'giou',
}


def test_the_band_comes_first():
    statements = ast.parse(RECIPE.read_text()).body
    band = {node.targets[0].id: ast.literal_eval(node.value) for node in statements[: len(BAND)]}
    assert band == BAND


def test_default_recipe():
    cfg = Config.fromfile(RECIPE)
    assert cfg.optim_wrapper.type == 'OptimWrapper'
    assert cfg.optim_wrapper.optimizer == {'type': 'AdamW', 'lr': 2.5e-5, 'weight_decay': 1e-4}
    assert cfg.auto_scale_lr.base_batch_size == 16
    assert (cfg.train_cfg.max_epochs, cfg.train_cfg.val_interval) == (36, 1)
    costs = cfg.model.criterion.assigner.match_costs
    assert [costs[name].weight for name in ('cls', 'bbox', 'iou')] == [1, 1, 1]
    losses = [cfg.model.criterion[name] for name in ('loss_cls', 'loss_bbox', 'loss_iou')]
    assert [loss.loss_weight for loss in losses] == [2, 5, 2]


def test_numbers_arrive():
    cfg = turn(long_side=320, num_proposals=60, batch_size=5, base_lr=1e-3, max_epochs=24, clip_grad=False)
    assert cfg.model.data_preprocessor.pad_size_divisor == 320
    for split in ('val', 'test'):
        (resize,) = (step for step in cfg[f'{split}_dataloader'].dataset.pipeline if step.type == 'Resize')
        assert resize.scale == (320, 320) and resize.keep_ratio
    assert cfg.model.rpn_head.num_proposals == 60
    assert cfg.train_dataloader.batch_size == 5
    assert cfg.optim_wrapper.optimizer.lr == 1e-3
    assert cfg.optim_wrapper.clip_grad is None
    assert cfg.train_cfg.max_epochs == 24
    settings = {name: value for name, value in cfg.to_dict().items() if name != 'work_dir'}
    assert '640' not in str(settings)


def test_a_side_that_the_strides_do_not_divide_is_padded_further():
    assert turn(long_side=300).model.data_preprocessor.pad_size_divisor == 320


def test_costs_and_losses_are_apart():
    cfg = turn(match_weights=(0.5, 2, 3), loss_weights=(1, 4, 0), cost_iou_type='diou', loss_iou_type='ciou')
    criterion = MODELS.build(cfg.model.criterion)
    costs = criterion.assigner.match_costs
    assert [costs[name].weight for name in ('cls', 'bbox', 'iou')] == [0.5, 2, 3]
    assert costs['iou'].iou_mode == 'diou'
    losses = (criterion.loss_cls, criterion.loss_bbox, criterion.loss_iou)
    assert [loss.loss_weight for loss in losses] == [1, 4, 0]
    assert type(criterion.loss_iou).__name__ == 'CIoULoss'


@pytest.mark.parametrize('kind', ['iou', 'giou', 'diou', 'ciou'])
def test_every_iou_type_is_the_one_of_that_name(kind):
    """Two squares of side 10, one moved by half a side; hand-made values."""
    criterion = MODELS.build(turn(cost_iou_type=kind, loss_iou_type=kind, loss_weights=(2, 5, 1)).model.criterion)
    assert criterion.assigner.match_costs['iou'].iou_mode == kind
    boxes = torch.tensor([[0.0, 0, 10, 10]]), torch.tensor([[5.0, 0, 15, 10]])
    # The enclosing box is 15 × 10, which both cover; its squared diagonal is 325, that of the centres' distance 25.
    expected = {'iou': 1 / 3, 'giou': 1 / 3, 'diou': 1 / 3 - 1 / 13, 'ciou': 1 / 3 - 1 / 13}[kind]
    assert criterion.loss_iou(*boxes).item() == pytest.approx(1 - expected, abs=1e-6)


@pytest.mark.parametrize(('amp', 'dtype'), [('bf16', torch.bfloat16), ('fp16', torch.float16)])
def test_mixed_precision(tmp_path, amp, dtype):
    if amp == 'fp16' and not torch.cuda.is_available():
        with pytest.raises(UserError, match='mixed precision in float16 needs CUDA'):
            train_one_weight(turn(amp=amp, max_epochs=1), tmp_path, 1)
        return
    runner, _ = train_one_weight(turn(amp=amp, max_epochs=1), tmp_path, 1)
    assert type(runner.optim_wrapper) is AmpOptimWrapper
    assert runner.optim_wrapper.cast_dtype is dtype


def test_switches_of_the_optimisation():
    assert turn(ema=True).default_hooks.ema.type == 'EMAHook'
    assert 'ema' not in turn(ema=False).default_hooks
    # The name and the value that mmengine's Runner looks for.
    assert turn(sync_bn='torch', frozen_bn=False).sync_bn == 'torch'
    assert turn().optim_wrapper.clip_grad == {'max_norm': 1, 'norm_type': 2}


@pytest.mark.parametrize(
    ('knobs', 'sentence'),
    [
        ({'amp': 'fp8'}, "amp is 'fp8': set it to None, 'fp16' or 'bf16'"),
        ({'decay': 'x'}, "decay is 'x': set it to 'multistep' or 'cosine'"),
        ({'sync_bn': True}, "sync_bn is True: set it to None or 'torch'"),
        (
            {'sync_bn': 'torch'},
            'sync_bn has nothing to average while frozen_bn is True: set frozen_bn to False too',
        ),
        ({'cost_iou_type': 'GIoU'}, "cost_iou_type is 'GIoU': set it to 'iou', 'giou', 'diou' or 'ciou'"),
        ({'loss_iou_type': None}, "loss_iou_type is None: set it to 'iou', 'giou', 'diou' or 'ciou'"),
        ({'long_side': '640'}, "long_side is '640': set it to a whole number of at least 32"),
        ({'num_proposals': 0}, 'num_proposals is 0: set it to a whole number of at least 1'),
        ({'batch_size': 0}, 'batch_size is 0: set it to a whole number of at least 1'),
        ({'max_epochs': 1.5}, 'max_epochs is 1.5: set it to a whole number of at least 1'),
        ({'warmup_iters': 1}, 'warmup_iters is 1: set it to a whole number of at least 2'),
        ({'debug': -1}, 'debug is -1: set it to a whole number of at least 0'),
        ({'base_lr': 0}, 'base_lr is 0: set it to a number above 0 and at most 1, such as 2.5e-5'),
        ({'match_weights': (1, 1)}, 'match_weights is (1, 1): set it to 3 numbers of at least 0'),
        ({'loss_weights': 2}, 'loss_weights is 2: set it to 3 numbers of at least 0'),
        *(
            ({name: 'no'}, f"{name} is 'no': set it to True or False")
            for name in ('ema', 'frozen_bn', 'clip_grad', 'use_crowd', 'remove_blank')
        ),
    ],
)
def test_wrong_value(knobs, sentence):
    with pytest.raises(UserError) as caught:
        turn(**knobs)
    assert str(caught.value) == sentence
