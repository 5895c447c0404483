"""The timm backbone: levels, freezing, and what mmengine does with a backbone."""

import copy

import pytest
import torch
from mmdet.registry import MODELS
from torch import nn

from sparse_rcnn_ext.errors import UserError

LITE0 = 'tf_efficientnet_lite0'
SWIN = 'swin_tiny_patch4_window7_224'
# Swin is made for images of 224 by 224 unless told otherwise.
MODEL_ARGS = {SWIN: dict(strict_img_size=False)}


def build(model_name: str = LITE0, **settings) -> nn.Module:
    return MODELS.build(dict(type='sparse_rcnn_ext.TimmBackbone', model_name=model_name, **settings))


@pytest.mark.parametrize(
    ('model_name', 'out_indices', 'strides', 'out_channels'),
    [
        (LITE0, (1, 2, 3, 4), (4, 8, 16, 32), (24, 40, 112, 320)),
        (LITE0, (0, 2), (2, 8), (16, 40)),
        ('resnet18', (1, 2, 3, 4), (4, 8, 16, 32), (64, 128, 256, 512)),
        ('convnext_atto', (0, 1, 2, 3), (4, 8, 16, 32), (40, 80, 160, 320)),
        ('mobilenetv3_small_050', (1, 3), (4, 16), (8, 24)),
        ('mobilenetv3_large_100', (1, 2, 3, 4), (4, 8, 16, 32), (24, 40, 112, 960)),
        ('hrnet_w18_small', (1, 2, 3, 4), (4, 8, 16, 32), (128, 256, 512, 1024)),
        ('mambaout_femto', (0, 2), (4, 16), (48, 192)),  # channels-last inside
        (SWIN, (0, 1, 2, 3), (4, 8, 16, 32), (96, 192, 384, 768)),  # channels-last inside
    ],
)
def test_shapes(model_name: str, out_indices: tuple, strides: tuple, out_channels: tuple):
    backbone = build(model_name, out_indices=out_indices, model_args=MODEL_ARGS.get(model_name))
    assert backbone.strides == strides
    assert backbone.out_channels == out_channels
    features = backbone(torch.rand(2, 3, 96, 64))
    assert isinstance(features, tuple)
    assert [tuple(f.shape) for f in features] == [
        (2, c, 96 // s, 64 // s) for c, s in zip(out_channels, strides, strict=True)
    ]
    # no layer is left that the outputs do not need: distributed training would wait for its gradient
    sum(f.square().mean() for f in features).backward()
    assert [name for name, p in backbone.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize(
    ('model_name', 'frozen_part', 'free_part'),
    [
        (LITE0, ('net.conv_stem', 'net.bn1', 'net.blocks.0', 'net.blocks.1'), ('net.blocks.2', 'net.blocks.3')),
        ('resnet18', ('net.conv1', 'net.bn1', 'net.layer1'), ('net.layer2', 'net.layer3')),
        ('convnext_atto', ('net.stem_0', 'net.stem_1', 'net.stages_0', 'net.stages_1'), ('net.stages_2',)),
        (
            'mobilenetv3_small_050',
            ('net.conv_stem', 'net.bn1', 'net.blocks.0'),
            ('net.blocks.1', 'net.blocks.2'),
        ),
        (SWIN, ('net.patch_embed', 'net.layers_0', 'net.layers_1'), ('net.layers_2',)),
    ],
)
def test_frozen_stages(model_name: str, frozen_part: tuple, free_part: tuple):
    model_args = MODEL_ARGS.get(model_name)
    backbone = build(model_name, out_indices=(1, 2), frozen_stages=1, model_args=model_args).train()
    dots = tuple(f'{part}.' for part in frozen_part)
    before = copy.deepcopy(backbone.state_dict())
    features = backbone(torch.rand(2, 3, 64, 64))
    assert features[0].grad_fn is None and not features[0].requires_grad  # nothing was recorded for backward
    features[1].square().mean().backward()
    for name, parameter in backbone.named_parameters():
        assert parameter.requires_grad != name.startswith(dots), name
        assert (parameter.grad is not None) == parameter.requires_grad, name
    for name, module in backbone.named_modules():
        if name.startswith(dots) or name in frozen_part:
            assert not module.training, name
        elif name.startswith(free_part):
            assert module.training, name
    for name, value in backbone.state_dict().items():
        if name.startswith(dots):
            assert torch.equal(value, before[name]), name


def test_frozen_stages_where_timm_hooks_the_levels():
    backbone = build('legacy_xception', out_indices=(1, 2), frozen_stages=1).train()
    features = backbone(torch.rand(2, 3, 64, 64))
    assert not features[0].requires_grad and features[1].requires_grad
    frozen = {name.split('.')[2] for name, p in backbone.named_parameters() if not p.requires_grad}
    assert frozen == {'conv1', 'bn1', 'conv2', 'bn2', 'block1', 'block2'}


def test_nothing_frozen_by_default():
    backbone = build('resnet18').train()
    assert all(p.requires_grad for p in backbone.parameters())
    assert all(m.training for m in backbone.modules())


def test_frozen_stages_survive_synchronised_batch_norm():
    backbone = nn.SyncBatchNorm.convert_sync_batchnorm(build('resnet18', frozen_stages=1)).train()
    assert isinstance(backbone.net.bn1, nn.SyncBatchNorm)
    assert not backbone.net.bn1.training and not backbone.net.layer1[0].bn1.training
    assert backbone.net.layer2[0].bn1.training


@pytest.mark.parametrize('norm_eval', [True, False])
def test_norm_eval(norm_eval: bool):
    backbone = build(norm_eval=norm_eval).train()
    norms = [m for m in backbone.modules() if isinstance(m, nn.BatchNorm2d)]
    before = norms[-1].running_mean.clone()
    backbone(torch.rand(2, 3, 64, 64))
    assert len(norms) > 40
    assert all(norm.training != norm_eval for norm in norms)
    assert torch.equal(norms[-1].running_mean, before) == norm_eval
    assert all(norm.weight.requires_grad for norm in norms)
    assert backbone.net.conv_stem.training


def test_state_dict_round_trip():
    one, other = build().eval(), build().eval()
    image = torch.rand(1, 3, 64, 64)
    assert not torch.equal(one(image)[-1], other(image)[-1])
    other.load_state_dict(one.state_dict())
    for a, b in zip(one(image), other(image), strict=True):
        assert torch.equal(a, b)


def is_drop_path(module: nn.Module) -> bool:
    return type(module).__name__ == 'DropPath'


def test_model_args():
    rates = [m.drop_prob for m in build('resnet18', model_args=dict(drop_path_rate=0.2)).modules() if is_drop_path(m)]
    assert max(rates) == pytest.approx(0.2)
    assert not any(is_drop_path(m) for m in build('resnet18').modules())


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(model_name='no_such_net'), 'has no model'),
        (dict(out_indices=(1, 9)), 'does not have all the levels'),
        (dict(out_indices=(2, 1)), 'must ascend'),
        (dict(out_indices=()), 'must ascend'),
        (dict(frozen_stages=5), 'has levels 0 to 4'),
        (dict(model_name='hrnet_w18_small', frozen_stages=1), 'hrnet_w18_small cannot be frozen up to a level'),
        (dict(pretrained=True, pretrained_file='a.pth'), 'both pretrained_file and pretrained=True'),
        (dict(model_args=dict(nonsense=1)), "model_args={'nonsense': 1}: .*unexpected keyword argument"),
    ],
)
def test_wrong_settings(settings: dict, message: str):
    with pytest.raises(UserError, match=message):
        build(**settings)
