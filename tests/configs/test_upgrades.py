"""The upgrades: short deltas that train, detect and learn over any recipe, alone and together."""

import tempfile
from functools import reduce
from itertools import combinations
from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS, TASK_UTILS
from mmengine.config import Config
from torch import nn

from tests.configs.ablation_rows import MODEL_ROWS, UPGRADE_ROWS, UPGRADES, build_row, rebase
from tests.models.small_model import CLASSES, PROPOSALS, STAGES, initialise, make_images, make_sample, small_config

RECIPES = UPGRADES.parent
BASES = [
    'sparse-rcnn_lite0_fpn_shapes.py',
    'sparse-rcnn_lite0_fpn_bccd.py',  # proposals on a grid, which a generator has no use for
    'sparse-rcnn_r50_fpn_300-proposals_crop-ms-480-800-3x_coco.py',
    'sparse-rcnn_r50_fpn_128-proposals_640-3x_coco.py',
]
# What is swapped in different places, so that all can be there at once.
TOGETHER = ['query-generator', 'denoising', 'mal', 'one-to-many', 'recursive']
SIZES = [(64, 90), (50, 61)]


def build(*rows: str) -> nn.Module:
    """Upgrades over each other, the first at the bottom, over a small model in float64."""
    with tempfile.TemporaryDirectory() as folder:

        def put(base: Path, row: str) -> Path:
            over = base.with_name(f'over_{base.name}')
            rebase(f'../upgrades/{row}', base).dump(over)
            return over

        base = Path(folder, 'base.py')
        small_config().dump(base)
        cfg = Config.fromfile(reduce(put, rows, base))
    return initialise(cfg).double()


def check_training_and_detections(model: nn.Module) -> None:
    """Every parameter has a finite gradient, also where no image has a box; detections are as many as usual."""
    images = make_images(SIZES)
    for counts in ((3, 0), (0, 0)):
        samples = [make_sample(size, count, seed) for seed, (size, count) in enumerate(zip(SIZES, counts))]
        losses = model.train().loss(images, samples)
        model.zero_grad()
        sum(value for name, value in losses.items() if 'loss' in name).backward()
        assert all(value.isfinite() for value in losses.values())
        for name, parameter in model.named_parameters():
            # Distributed training waits for every gradient.
            assert not parameter.requires_grad or parameter.grad.isfinite().all(), name
    with torch.no_grad():
        results = model.eval().predict(images, samples)
    for result in results:
        found = result.pred_instances
        assert found.bboxes.shape == (PROPOSALS, 4) and found.bboxes.isfinite().all()
        assert 0 < found.scores[-1] <= found.scores[0] < 1
        assert 0 <= found.labels.min() <= found.labels.max() < CLASSES


@pytest.mark.parametrize('row', UPGRADE_ROWS)
def test_short_and_says_what_it_is(row):
    lines = (UPGRADES / f'{row}.py').read_text().splitlines()
    assert lines[0].startswith('# ') and lines[0].endswith('.')
    assert lines[1] == "_base_ = '../sparse-rcnn_r50_fpn_ms-480-800-3x_coco.py'"
    assert len(lines) <= 15


@pytest.mark.parametrize('row', MODEL_ROWS)
def test_trains_and_detects(row):
    check_training_and_detections(build_row(f'../upgrades/{row}'))


def test_all_at_once():
    model = build(*TOGETHER)
    check_training_and_detections(model)
    assert len(model.roi_head.bbox_head) == 2 and model.roi_head.num_stages == STAGES
    samples = [make_sample(size, 3, seed) for seed, size in enumerate(SIZES)]
    losses = model.train().loss(make_images(SIZES), samples)
    assert {name.partition('.')[0] for name in losses} == {
        'rpn',
        *(f'{kind}s{stage}' for kind in ('', 'dn_') for stage in range(STAGES)),
    }


# Each of a pair changes another place of the model.
PAIRS = [
    pair
    for pair in combinations(
        ('query-generator', 'denoising', 'recursive', 'mal', 'position-supervised', 'one-to-many'), 2
    )
    if pair not in [('mal', 'position-supervised')]
]


@pytest.mark.parametrize('pair', PAIRS, ids=' + '.join)
def test_any_two_together(pair):
    check_training_and_detections(build(*pair))
    check_training_and_detections(build(*reversed(pair)))


def test_denoising_with_softmax():
    """Without any box there is nothing to average over."""
    check_training_and_detections(build('../ablations/softmax', 'denoising'))


@pytest.mark.parametrize(
    ('name', 'parts', 'stages'),
    [
        ('best', ['query-generator', 'denoising', 'mal'], STAGES),
        ('best_two-stages', ['query-generator', 'denoising', 'mal'], 2),
        ('best_two-stages_no-mal', ['query-generator', 'denoising'], 2),
        ('fast', ['query-generator'], 2),
    ],
)
def test_combinations_are_what_their_parts_are_together(name, parts, stages):
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder, 'base.py')
        small_config().dump(base)
        combination = rebase(f'../upgrades/{name}', base).model
        for row in parts:
            over = base.with_name(f'over_{base.name}')
            rebase(f'../upgrades/{row}', base).dump(over)
            base = over
        together = Config.fromfile(base).model
    assert together.roi_head.num_stages == STAGES
    together.roi_head.num_stages = stages
    assert combination == together


@pytest.mark.parametrize('base', BASES)
@pytest.mark.parametrize('row', MODEL_ROWS)
def test_fits_any_recipe(row, base):
    recipe, other = Config.fromfile(RECIPES / base), rebase(f'../upgrades/{row}', RECIPES / base)
    for key in ('backbone', 'neck', 'data_preprocessor'):
        assert other.model[key] == recipe.model[key]
    assert other.train_dataloader == recipe.train_dataloader and other.optim_wrapper == recipe.optim_wrapper
    with torch.device('meta'):
        rpn_head = MODELS.build(other.model.rpn_head)
        MODELS.build(other.model.roi_head)
    MODELS.build(other.model.criterion)
    assert rpn_head.num_proposals == recipe.model.rpn_head.num_proposals
    channels = recipe.model.rpn_head.proposal_feature_channel
    assert other.model.get('denoising', {}).get('in_channels', channels) == channels
    assert TASK_UTILS.build(other.model.criterion.assigner).match_costs


def test_coco_recipes_have_the_best_and_say_that_they_were_not_measured():
    for name, epochs in (('best_1x', 12), ('best_ms-480-800-3x', 36)):
        path = RECIPES / f'sparse-rcnn_r50_fpn_{name}_coco.py'
        assert 'Not trained on COCO here' in path.read_text()
        cfg, plain = (Config.fromfile(file) for file in (path, RECIPES / path.name.replace('best_', '')))
        assert cfg.train_cfg.max_epochs == epochs
        assert cfg.model == Config.fromfile(UPGRADES / 'best.py').model
        assert cfg.train_dataloader == plain.train_dataloader and cfg.param_scheduler == plain.param_scheduler
