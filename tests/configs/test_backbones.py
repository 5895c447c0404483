"""Every backbone and neck config: its full backbone under a small head trains, and its numbers are the public ones."""

from pathlib import Path

import mmdet
import pytest
import timm
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.runner.checkpoint import get_external_models, get_torchvision_models
from torch import nn

from tests.models.small_model import make_images, make_sample

RECIPES = Path(__file__).resolve().parents[2] / 'configs/sparse_rcnn'
MMDET_CONFIGS = Path(mmdet.__file__).parent / '.mim/configs'
RESNET_FROZEN = ('backbone.conv1.', 'backbone.bn1.', 'backbone.layer1.')
# What each config freezes.
FROZEN = {
    'backbones/sparse-rcnn_r18_fpn_1x_coco.py': RESNET_FROZEN,
    'backbones/sparse-rcnn_r34_fpn_1x_coco.py': RESNET_FROZEN,
    'backbones/sparse-rcnn_r101_fpn_1x_coco.py': RESNET_FROZEN,
    'backbones/sparse-rcnn_x101-32x4d_fpn_1x_coco.py': RESNET_FROZEN,
    'backbones/sparse-rcnn_mobilenetv2_fpn_1x_coco.py': ('backbone.conv1.', 'backbone.layer1.'),
    'backbones/sparse-rcnn_lite0_fpn_1x_coco.py': (
        'backbone.net.conv_stem.',
        'backbone.net.bn1.',
        'backbone.net.blocks.0.',
    ),
    'backbones/sparse-rcnn_swin-t-p4-w7_fpn_1x_coco.py': (),
    'backbones/sparse-rcnn_pvtv2-b2_fpn_1x_coco.py': (),
    'backbones/sparse-rcnn_convnext-t_fpn_1x_coco.py': (),
    'necks/sparse-rcnn_r50_pafpn_1x_coco.py': RESNET_FROZEN,
    'necks/sparse-rcnn_r50_bifpn_1x_coco.py': RESNET_FROZEN,
}
# mmdet's config with the same backbone, weights and scaling of the images.
SOURCES = {
    'backbones/sparse-rcnn_r18_fpn_1x_coco.py': 'retinanet/retinanet_r18_fpn_1x_coco.py',
    'backbones/sparse-rcnn_r34_fpn_1x_coco.py': 'ld/ld_r34-gflv1-r101_fpn_1x_coco.py',
    'backbones/sparse-rcnn_r101_fpn_1x_coco.py': 'retinanet/retinanet_r101_fpn_1x_coco.py',
    'backbones/sparse-rcnn_x101-32x4d_fpn_1x_coco.py': 'retinanet/retinanet_x101-32x4d_fpn_1x_coco.py',
    'backbones/sparse-rcnn_mobilenetv2_fpn_1x_coco.py': 'yolo/yolov3_mobilenetv2_8xb24-ms-416-300e_coco.py',
    'backbones/sparse-rcnn_swin-t-p4-w7_fpn_1x_coco.py': 'swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py',
    'backbones/sparse-rcnn_pvtv2-b2_fpn_1x_coco.py': 'pvt/retinanet_pvtv2-b2_fpn_1x_coco.py',
}
DROP_PATH = {
    'backbones/sparse-rcnn_swin-t-p4-w7_fpn_1x_coco.py': 0.2,
    'backbones/sparse-rcnn_pvtv2-b2_fpn_1x_coco.py': 0.1,
    'backbones/sparse-rcnn_convnext-t_fpn_1x_coco.py': 0.2,
}
CHANNELS = 32
SIZES = [(64, 64), (50, 61)]
SMALL_HEAD = {
    'neck.out_channels': CHANNELS,
    'rpn_head.num_proposals': 6,
    'rpn_head.proposal_feature_channel': CHANNELS,
    'roi_head.num_stages': 2,
    'roi_head.roi_features.finest_scale': 4,  # so that boxes of a small image use every level
    'roi_head.bbox_head.num_classes': 5,
    'roi_head.bbox_head.num_heads': 2,
    'roi_head.bbox_head.feedforward_channels': 24,
    'roi_head.bbox_head.in_channels': CHANNELS,
    'roi_head.bbox_head.dynamic_conv_cfg.feat_channels': 4,
}


def load(name: str) -> Config:
    return Config.fromfile(RECIPES / name)


def build_small(name: str, seed: int) -> nn.Module:
    """The config's model with its whole backbone, from random weights, and a small head."""
    cfg = load(name)
    cfg.merge_from_dict({f'model.{key}': value for key, value in SMALL_HEAD.items()})
    for source in ('init_cfg', 'pretrained', 'pretrained_file'):
        cfg.model.backbone.pop(source, None)
    if 'ResNe' in cfg.model.backbone.type:
        cfg.model.backbone.zero_init_residual = False  # blocks that start at zero pass no gradient at first
    torch.manual_seed(seed)
    model = MODELS.build(cfg.model)
    model.init_weights()
    sides = torch.linspace(0.1, 1, model.rpn_head.num_proposals)
    with torch.no_grad():
        model.rpn_head.init_proposal_bboxes.weight[:, 2:] = sides[:, None]
    return model


def keep_all_paths(model: nn.Module) -> list[float]:
    """Turn stochastic depth off, since a dropped block gets no gradient; returns the rates that it had."""
    modules = [module for module in model.modules() if hasattr(module, 'drop_prob')]
    rates = [float(module.drop_prob or 0) for module in modules]
    for module in modules:
        module.drop_prob = 0.0
    return rates


@pytest.fixture(scope='module', params=list(FROZEN))
def name(request) -> str:
    return request.param


def test_every_config_is_listed():
    found = [path for folder in ('backbones', 'necks') for path in (RECIPES / folder).glob('*.py')]
    assert {path.relative_to(RECIPES).as_posix() for path in found} == set(FROZEN)


def test_trains_and_survives_a_round_trip(name: str):
    model = build_small(name, seed=0).train()
    assert max(keep_all_paths(model), default=0) == pytest.approx(DROP_PATH.get(name, 0))
    images = make_images(SIZES, torch.float32)
    samples = [make_sample(size, 3, seed) for seed, size in enumerate(SIZES)]
    losses = model.loss(images, samples)
    sum(value for key, value in losses.items() if 'loss' in key).backward()
    for key, parameter in model.named_parameters():
        frozen = key.startswith(FROZEN[name])
        assert parameter.requires_grad != frozen, key
        assert (parameter.grad is None) == frozen, key
        assert frozen or 0 < parameter.grad.abs().max() < float('inf'), key
    assert all(any(key.startswith(prefix) for key in model.state_dict()) for prefix in FROZEN[name])

    other = build_small(name, seed=1).eval()
    model.eval()
    with torch.no_grad():
        shapes = [tuple(level.shape) for level in model.extract_feat(images)]
        assert shapes == [(len(SIZES), CHANNELS, side, side) for side in (16, 8, 4, 2)]
        expected, before = (net(images, samples, mode='tensor') for net in (model, other))
        assert not torch.allclose(before.logits, expected.logits)
        other.load_state_dict(model.state_dict())
        found = other(images, samples, mode='tensor')
    assert torch.equal(found.logits, expected.logits) and torch.equal(found.boxes, expected.boxes)
    assert expected.boxes.isfinite().all()


@pytest.mark.parametrize('name', list(SOURCES))
def test_backbone_is_mmdets(name: str):
    """The same layers, so that its weights fit; the same weights; images scaled as these want."""
    source = MMDET_CONFIGS / SOURCES[name]
    if not source.is_file():
        pytest.skip(f'this mmdet was installed without its configs ({MMDET_CONFIGS})')
    ours, theirs = load(name).model, Config.fromfile(source).model
    assert ours.backbone.type == theirs.backbone.type
    assert ours.backbone.init_cfg.type == 'Pretrained'
    assert ours.backbone.init_cfg.checkpoint == theirs.backbone.init_cfg.checkpoint
    for key in {*ours.backbone} & {*theirs.backbone} - {'out_indices', 'init_cfg'}:
        assert ours.backbone[key] == theirs.backbone[key], key
    for key in ('mean', 'std', 'bgr_to_rgb', 'pad_size_divisor'):
        assert ours.data_preprocessor[key] == theirs.data_preprocessor[key], key
    layers = [MODELS.build(cfg.backbone).state_dict() for cfg in (ours, theirs)]
    one, other = ({key: value.shape for key, value in state.items()} for state in layers)
    assert one == other


@pytest.mark.parametrize('name', list(FROZEN))
def test_named_weights_are_known(name: str):
    checkpoint = load(name).model.backbone.get('init_cfg', {}).get('checkpoint', '')
    scheme, _, weights = checkpoint.partition('://')
    known = {'torchvision': get_torchvision_models, 'open-mmlab': get_external_models}
    if scheme in known:
        assert known[scheme]()[weights].startswith('https://')
    else:
        assert scheme in ('https', '')


def test_convnext_sees_images_as_its_weights_want():
    model = load('backbones/sparse-rcnn_convnext-t_fpn_1x_coco.py').model
    wanted = timm.get_pretrained_cfg(model.backbone.model_name)
    assert model.backbone.pretrained and wanted.tag == 'fb_in1k'
    assert model.data_preprocessor.bgr_to_rgb
    assert model.data_preprocessor.mean == pytest.approx([255 * value for value in wanted.mean])
    assert model.data_preprocessor.std == pytest.approx([255 * value for value in wanted.std])


def is_swins_exception(key: str, parameter: nn.Parameter) -> bool:
    return 'norm' in key or 'relative_position_bias_table' in key


def is_vector(key: str, parameter: nn.Parameter) -> bool:
    return parameter.ndim == 1


@pytest.mark.parametrize(
    ('name', 'undecayed'),
    [
        ('backbones/sparse-rcnn_swin-t-p4-w7_fpn_1x_coco.py', is_swins_exception),
        ('backbones/sparse-rcnn_convnext-t_fpn_1x_coco.py', is_vector),
        ('backbones/sparse-rcnn_pvtv2-b2_fpn_1x_coco.py', lambda key, parameter: False),
        ('necks/sparse-rcnn_r50_bifpn_1x_coco.py', lambda key, parameter: False),
    ],
)
def test_weight_decay(name: str, undecayed):
    cfg, model = load(name), build_small(name, seed=0)
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    groups = {id(p): group for group in optimizer.param_groups for p in group['params']}
    found = {key: groups[id(p)]['weight_decay'] for key, p in model.named_parameters()}
    assert found == {key: 0 if undecayed(key, p) else 1e-4 for key, p in model.named_parameters()}
    assert {group['lr'] for group in optimizer.param_groups} == {2.5e-5}
