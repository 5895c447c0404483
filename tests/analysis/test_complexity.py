"""Counts against arithmetic done by hand, and against torch's own counter."""

from contextlib import contextmanager

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config, ConfigDict
from torch.utils.flop_counter import FlopCounterMode

from sparse_rcnn_ext.analysis import count_complexity
from tests.models.small_model import CHANNELS, CLASSES, PROPOSALS, STAGES, small_config

SIZE = (64, 96)
POSITIONS = 49
WIDE = 24  # feedforward_channels
FILTERS = 4  # feat_channels
POOLED = STAGES * PROPOSALS * POSITIONS * 16 * CHANNELS  # 2 × 2 samples of 4 neighbours each
ATTENDED = STAGES * 2 * PROPOSALS**2 * CHANNELS


def count(cfg: Config):
    return count_complexity(MODELS.build(cfg.model), SIZE)


@pytest.fixture(scope='module')
def small():
    return count(small_config())


def by_name(complexity) -> dict[str, int]:
    return {part.name: part.flops for part in complexity.parts}


def test_head_by_hand(small):
    n, c = PROPOSALS, CHANNELS
    expected = {
        'RoI pooling': POOLED,
        'self-attention': STAGES * (n * c * 3 * c + n * c * c) + ATTENDED,
        'filters from proposals': STAGES * n * c * (2 * c * FILTERS),
        'filters on RoIs': STAGES * n * POSITIONS * 2 * c * FILTERS,
        'projection': STAGES * n * POSITIONS * c * c,
        'feed-forward network': STAGES * n * 2 * c * WIDE,
        'classification tower': STAGES * n * (c * c + c * CLASSES),
        'box tower': STAGES * n * (3 * c * c + c * 4),
        'proposals': 0,
    }
    flops = by_name(small)
    assert {name: flops[name] for name in expected} == expected
    interaction = expected['filters from proposals'] + expected['filters on RoIs'] + expected['projection']
    assert flops['instance interaction'] == interaction


def test_stages_that_do_not_run(small):
    """The first one alone; the numbers of the other's parameters stay."""
    cfg = small_config()
    cfg.merge_from_dict({'model.test_cfg.num_stages': 1})
    counted = count(cfg)
    flops = by_name(counted)
    assert flops[f'stages (1 of {STAGES})'] * STAGES == by_name(small)[f'stages ({STAGES})'] > 0
    assert flops['RoI pooling'] * STAGES == by_name(small)['RoI pooling']
    assert flops['backbone (ResNet)'] == by_name(small)['backbone (ResNet)']
    assert counted.parameters == small.parameters


def test_parts_add_up(small):
    for key in ('parameters', 'flops'):
        sums = [sum(getattr(part, key) for part in small.parts if part.level == level) for level in (0, 1)]
        assert sums[0] == getattr(small, key)
        (stages,) = [getattr(part, key) for part in small.parts if part.name == f'stages ({STAGES})']
        assert sums[1] == stages


def test_parameters_by_hand(small):
    c = CHANNELS
    parameters = {part.name: part.parameters for part in small.parts}
    norm = 2 * c
    assert parameters['proposals'] == PROPOSALS * (4 + c)
    assert parameters['self-attention'] == STAGES * (4 * c * c + 4 * c + norm)
    filters, projection = (c + 1) * 2 * c * FILTERS, (POSITIONS * c + 1) * c
    assert parameters['filters from proposals'] == STAGES * filters
    assert parameters['projection'] == STAGES * projection
    assert parameters['instance interaction'] == STAGES * (filters + projection + 2 * FILTERS + 3 * norm)
    assert parameters['box tower'] == STAGES * (3 * (c * c + norm) + 4 * c + 4)


def count_with_torch(cfg: Config) -> float:
    """Multiply-adds that torch's counter finds; it knows neither attention on CPUs nor embedding_bag nor oneDNN."""
    detector = MODELS.build(cfg.model).eval()
    height, width = SIZE
    with torch.backends.mkldnn.flags(enabled=False), FlopCounterMode(display=False) as counter:
        detector.forward_stages(torch.zeros(1, 3, *SIZE), torch.tensor([[width, height, width, height]]).float())
    return counter.get_total_flops() / 2


def other_backbone(backbone: dict, channels: list[int], neck: str = 'FPN') -> Config:
    cfg = small_config()
    cfg.model.backbone = ConfigDict(backbone)
    cfg.model.neck = ConfigDict(type=neck, in_channels=channels, out_channels=CHANNELS, num_outs=4)
    return cfg


BACKBONES = {
    'resnet': small_config,
    'swin': lambda: other_backbone(
        dict(type='SwinTransformer', embed_dims=8, depths=[2, 1, 1, 1], num_heads=[1, 2, 2, 2], window_size=4),
        [8, 16, 32, 64],
    ),
    'pvt': lambda: other_backbone(
        dict(type='PyramidVisionTransformerV2', embed_dims=8, num_layers=[1, 1, 1, 1], num_heads=[1, 1, 1, 1]),
        [8, 8, 8, 8],
    ),
    'bifpn': lambda: other_backbone(small_config().model.backbone, [16, 32, 64, 128], 'sparse_rcnn_ext.BiFPN'),
    'timm': lambda: other_backbone(
        dict(type='sparse_rcnn_ext.TimmBackbone', model_name='convnext_atto', out_indices=(0, 1, 2, 3)),
        [40, 80, 160, 320],
    ),
}


@pytest.mark.parametrize('name', BACKBONES)
def test_like_torch(name: str):
    """No operator with multiply-adds is left out, in whatever backbone or neck."""
    cfg = BACKBONES[name]()
    assert count(cfg).flops == count_with_torch(cfg) + POOLED + ATTENDED


def test_multi_head_attention_over_rois():
    interaction = dict(type='sparse_rcnn_ext.RoIAttention', num_heads=2)
    cfg = small_config()
    cfg.model.roi_head.bbox_head.dynamic_conv_cfg = ConfigDict(interaction)
    n, c = PROPOSALS, CHANNELS
    # Queries of the proposals, keys and values of the positions, both products, and the layer behind them.
    expected = n * c * c + n * POSITIONS * c * 2 * c + 2 * n * POSITIONS * c + n * c * c
    assert by_name(count(cfg))['instance interaction'] == STAGES * expected


def test_shared_stages_cost_as_much_and_weigh_less(small):
    shared = count(small_config({'model.roi_head.type': 'sparse_rcnn_ext.SharedSparseRoIHead'}))
    assert shared.flops == small.flops
    assert by_name(shared) == by_name(small)
    (stages,) = [part.parameters for part in small.parts if part.name == f'stages ({STAGES})']
    assert shared.parameters == small.parameters - stages * (STAGES - 1) // STAGES


def test_frozen_and_batch_norm(small):
    detector = MODELS.build(small_config().model)
    frozen = sum(weight.numel() for weight in detector.backbone.parameters() if not weight.requires_grad)
    assert frozen and small.trainable == small.parameters - frozen
    norms = [module for module in detector.backbone.modules() if type(module) is torch.nn.BatchNorm2d]
    assert small.batch_norm == sum(2 * norm.num_features for norm in norms)


@pytest.mark.parametrize('before', [True, False])
def test_leaves_the_fast_path_as_it_is(before: bool):
    @contextmanager
    def fast_path(enabled: bool):
        old = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(enabled)
        try:
            yield
        finally:
            torch.backends.mha.set_fastpath_enabled(old)

    with fast_path(before):
        assert by_name(count(small_config()))['self-attention'] > ATTENDED
        assert torch.backends.mha.get_fastpath_enabled() is before


def test_r50_has_the_parameters_of_the_paper(repo_dir):
    cfg = Config.fromfile(repo_dir / 'configs/sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py')
    with torch.device('meta'):
        detector = MODELS.build(cfg.model)
    norms = sum(
        weight.numel()
        for module in detector.modules()
        if isinstance(module, torch.nn.BatchNorm2d)
        for weight in module.parameters()
    )
    total = sum(weight.numel() for weight in detector.parameters())
    assert (total, norms) == (106_290_888, 53_120)
    assert round((total - norms) / 1e6, 1) == 106.2  # detectron2's frozen norms are no parameters
