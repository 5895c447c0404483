"""The ablation configs: listed, short, trainable, and the same change over any recipe."""

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config, ConfigDict

from tests.configs.ablation_rows import ABLATIONS, ROWS, TABLES, UPGRADE_ROWS, build_row, rebase
from tests.models.small_model import BASE, make_images, make_sample

RECIPES = ABLATIONS.parent
BASES = [
    'sparse-rcnn_lite0_fpn_shapes.py',
    'sparse-rcnn_r50_fpn_128-proposals_640-3x_coco.py',
]
SIZES = [(64, 90), (50, 61)]


def build_on_meta(model: ConfigDict) -> torch.nn.Module:
    """Shapes without values: a second for the largest model."""
    with torch.device('meta'):
        return MODELS.build({**model, 'backbone': {**model.backbone, 'init_cfg': None}})


def test_tables_and_files_agree():
    assert len({table['name'] for table in TABLES}) == len(TABLES)
    for table in TABLES:
        assert set(table) == {'name', 'title', 'source', 'rows'}
        assert len({row['name'] for row in table['rows']}) == len(table['rows']) > 1
        assert sum(row['default'] for row in table['rows']) == (0 if table['name'] == 'reuse' else 1)
        for row in table['rows']:
            assert set(row) == {'name', 'config', 'paper_ap', 'default'}
            assert isinstance(row['name'], str)
            assert row['paper_ap'] is None or 10 < row['paper_ap'] < 50
    listed = {row['config'] for table in TABLES for row in table['rows']}
    assert listed == {f'{row}.py' for row in ROWS} | {f'../upgrades/{row}.py' for row in UPGRADE_ROWS}


def test_one_model_has_one_number():
    """Rows of several tables that share a config are quoted alike, but where the paper's dropout was 0.1."""
    numbers = {}
    for table in TABLES:
        for row in table['rows']:
            if table['name'] not in ('dropout', 'switches', 'upgrades', 'best'):
                numbers.setdefault(row['config'], set()).add(row['paper_ap'])
    assert all(len(quoted) == 1 for quoted in numbers.values())


def test_default_rows_are_the_recipe():
    recipe = Config.fromfile(RECIPES / 'sparse-rcnn_r50_fpn_ms-480-800-3x_coco.py').to_dict()
    defaults = {row['config'] for table in TABLES for row in table['rows'] if row['default']}
    for config in defaults:
        row = Config.fromfile(ABLATIONS / config).to_dict()
        boxes = row['model']['rpn_head'].pop('proposal_boxes', dict(type='sparse_rcnn_ext.ImageBoxes'))
        assert boxes == dict(type='sparse_rcnn_ext.ImageBoxes')
        assert row == recipe, config


@pytest.mark.parametrize('row', ROWS)
def test_short_and_says_what_it_is(row):
    lines = (ABLATIONS / f'{row}.py').read_text().splitlines()
    assert lines[0].startswith('# ') and lines[0].endswith('.')
    assert lines[1] == "_base_ = '../sparse-rcnn_r50_fpn_ms-480-800-3x_coco.py'"
    assert len(lines) <= 15


@pytest.mark.parametrize('row', ROWS)
def test_trains_and_predicts(row):
    model = build_row(row).train()
    samples = [make_sample(size, n, seed) for seed, (size, n) in enumerate(zip(SIZES, (3, 0)))]
    images = make_images(SIZES)
    losses = model.loss(images, samples)
    num_stages = model.roi_head.num_stages
    assert len(losses) == 4 * num_stages
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    for name, parameter in model.named_parameters():
        # Distributed training waits for every gradient.
        assert not parameter.requires_grad or parameter.grad.isfinite().all(), name

    model.eval()
    with torch.no_grad():
        results = model.predict(images, samples)
    for result in results:
        found = result.pred_instances
        assert found.bboxes.shape == (model.rpn_head.num_proposals, 4)
        assert found.bboxes.isfinite().all()
        assert 0 < found.scores[-1] <= found.scores[0] < 1
        assert 0 <= found.labels.min() <= found.labels.max() < 5


@pytest.mark.parametrize('base', BASES)
@pytest.mark.parametrize('row', ROWS)
def test_changes_the_same_over_any_recipe(row, base):
    recipe, other = Config.fromfile(RECIPES / base), rebase(row, RECIPES / base)
    assert {key: value for key, value in other.items() if key != 'model'} == {
        key: value for key, value in recipe.items() if key != 'model'
    }
    assert other.model.backbone == recipe.model.backbone and other.model.neck == recipe.model.neck
    channels = recipe.model.rpn_head.proposal_feature_channel
    with torch.device('meta'):
        roi_head = MODELS.build(other.model.roi_head)
        rpn_head = MODELS.build(other.model.rpn_head)
    MODELS.build(other.model.criterion)
    stages = list(roi_head.bbox_head)
    features = torch.zeros(1, 3, channels, device='meta')
    logits, _, features = stages[0](
        torch.zeros(3, 49, channels, device='meta'), features, torch.zeros(1, 3, 4, device='meta')
    )
    assert stages[0].scores(logits).shape == (1, 3, recipe.model.roi_head.bbox_head.num_classes)
    assert features.shape == (1, 3, channels)
    assert rpn_head.init_proposal_features.weight.shape[1] == channels
    number = {'proposals': recipe.model.rpn_head.num_proposals, 'stages': recipe.model.roi_head.num_stages}
    kind, _, value = row.rpartition('-')
    if kind in number:
        number[kind] = int(value)
    if row == 'roi-fc_one-stage':
        number['stages'] = 1
    assert (rpn_head.num_proposals, len(stages)) == (number['proposals'], number['stages'])


# With 256 channels, 49 positions and 64 dynamic channels.
RECIPE = 106_290_888  # the official code holds the norms of ResNet-50, 53 120 of these, as buffers: 106.2 million
STAGE = 13_235_412
SELF_ATTENTION = 4 * 256 * 257
DYNAMIC_CONV = 257 * 2 * 256 * 64 + 2 * 64 + 2 * 256 + (49 * 256 + 1) * 256 + 2 * 256
FULLY_CONNECTED = (49 * 256 + 1) * 256 + 2 * 256 + 257 * 256 + 2 * 256


@pytest.mark.parametrize(
    ('row', 'expected'),
    [
        ('default', RECIPE),
        ('shared-stages', RECIPE - 5 * STAGE),  # 66.2 million less
        ('stages-1', RECIPE - 5 * STAGE),
        ('stages-12', RECIPE + 6 * STAGE),
        ('proposals-300', RECIPE + 200 * (256 + 4)),
        ('roi-fc_self-attention', RECIPE - 6 * (DYNAMIC_CONV - FULLY_CONNECTED)),
        ('roi-fc', RECIPE - 6 * (DYNAMIC_CONV - FULLY_CONNECTED + SELF_ATTENTION)),
        ('roi-fc_no-reuse', RECIPE - 6 * (DYNAMIC_CONV - FULLY_CONNECTED + SELF_ATTENTION)),
        ('roi-fc_one-stage', RECIPE - 5 * STAGE - (DYNAMIC_CONV - FULLY_CONNECTED + SELF_ATTENTION)),
        ('roi-attention', RECIPE - 6 * (DYNAMIC_CONV - SELF_ATTENTION)),
        ('softmax', RECIPE + 6 * 257),
        ('position-encoding', RECIPE + 5 * 256 + 257 * 256),
        ('last-stage-loss', RECIPE),
    ],
)
def test_parameters(row, expected):
    model = build_on_meta(Config.fromfile(ABLATIONS / f'{row}.py').model)
    assert sum(parameter.numel() for parameter in model.parameters()) == expected


def test_the_base_of_the_small_models_is_the_recipes():
    assert Config.fromfile(ABLATIONS / 'default.py').model == Config.fromfile(BASE).model
