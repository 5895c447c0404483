"""BiFPN against a slow reference, and what a neck owes the detector."""

import pytest
import torch
from mmdet.registry import MODELS
from torch import nn

from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.models.necks.bifpn import BiFPN, FusionNode, halve
from tests.reference import bifpn as reference

CHANNELS = 4
SILU = dict(type='SiLU')
NORM = dict(type='GN', num_groups=2)
# What strides 4, 8, 16, 32 make of sides 64, 50 (rounded up) and of 70, 90 (rounded down).
SHAPES = {
    'halved': [(16, 8), (8, 4), (4, 2), (2, 1)],
    'rounded up': [(16, 13), (8, 7), (4, 4), (2, 2)],
    'rounded down': [(17, 22), (8, 11), (4, 5), (2, 2)],
    'three': [(5, 6), (3, 3), (2, 2)],
    'five': [(12, 9), (6, 5), (3, 3), (2, 2), (1, 1)],
}


def build(shapes: list, seed: int = 0, **settings) -> nn.Module:
    settings = dict(in_channels=[CHANNELS] * len(shapes), out_channels=CHANNELS, num_outs=len(shapes)) | settings
    torch.manual_seed(seed)
    neck = MODELS.build(dict(type='sparse_rcnn_ext.BiFPN', **settings))
    neck.init_weights()
    for name, parameter in neck.named_parameters():
        if name.endswith('weights'):
            nn.init.uniform_(parameter, 0.1, 2)
        elif name.endswith('bias'):
            nn.init.normal_(parameter)
    return neck.double()


def make_levels(shapes: list, channels: int = CHANNELS, batch: int = 1) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(batch, channels, *shape, generator=generator, dtype=torch.float64) for shape in shapes]


def unpack(node: nn.Module, depthwise: bool) -> tuple:
    """Fusion weights and convolutions of a node, as the reference takes them."""
    parts = [node.conv.depthwise_conv, node.conv.pointwise_conv] if depthwise else [node.conv]
    return node.weights, [(part.conv.weight, part.conv.bias) for part in parts]


@pytest.mark.parametrize('depthwise', [True, False])
@pytest.mark.parametrize('name', list(SHAPES))
def test_layer_equals_the_reference(name: str, depthwise: bool):
    neck = build(SHAPES[name], num_layers=1, depthwise=depthwise, act_cfg=SILU)
    (layer,) = neck.layers
    nn.init.constant_(layer.top_down[0].weights[1:], -0.5)  # ReLU makes it 0
    levels = [level.requires_grad_() for level in make_levels(SHAPES[name])]
    found = layer(levels)
    expected = reference.bifpn_layer(
        [level[0] for level in levels],
        [unpack(node, depthwise) for node in layer.top_down],
        [unpack(node, depthwise) for node in layer.bottom_up],
    )
    assert [level.shape for level in found] == [level.shape for level in levels]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one[0], other, rtol=1e-10, atol=1e-12)
        assert one.std() > 1e-3

    leaves = [*levels, *layer.parameters()]
    shares = make_levels(SHAPES[name])  # another weight for each output cell
    gradients = torch.autograd.grad(sum((a * b).sum() for a, b in zip(found, shares, strict=True)), leaves)
    wanted = torch.autograd.grad(sum((a * b[0]).sum() for a, b in zip(expected, shares, strict=True)), leaves)
    for leaf, one, other in zip(leaves, gradients, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)
        assert one.abs().max() > 0, leaf.shape


@pytest.mark.parametrize(('weights', 'share'), [((1.0, 1.0), 0.5), ((1.0, 3.0), 0.75), ((2.0, -7.0), 0.0)])
def test_fusion_is_a_weighted_mean(weights: tuple, share: float):
    node = FusionNode(2, nn.Identity).double()
    nn.init.constant_(node.weights[0], weights[0])
    nn.init.constant_(node.weights[1], weights[1])
    one = torch.ones(1, 1, 2, 2, dtype=torch.float64)
    assert node([0 * one, one]).unique().tolist() == pytest.approx([share], abs=1e-4)
    total = sum(max(weight, 0.0) for weight in weights)
    assert node([one, one]).unique().tolist() == pytest.approx([total / (total + 1e-4)], rel=1e-12)


def test_all_weights_below_zero_give_zeros():
    node = FusionNode(3, nn.Identity)
    nn.init.constant_(node.weights, -1.0)
    assert (node([torch.rand(1, 2, 3, 3)] * 3) == 0).all()


def test_fresh_fusions_are_plain_means():
    neck = BiFPN([3, 4, 5], 8, 3, num_layers=2)
    for layer in neck.layers:
        assert [node.weights.tolist() for node in layer.top_down] == [[1, 1], [1, 1]]
        assert [node.weights.tolist() for node in layer.bottom_up] == [[1, 1, 1], [1, 1]]


@pytest.mark.parametrize('num_outs', [3, 4, 6])
@pytest.mark.parametrize('depthwise', [True, False])
def test_the_neck(num_outs: int, depthwise: bool):
    shapes = [(13, 10), (7, 5), (4, 3)]
    settings = dict(in_channels=[3, 5, 7], num_outs=num_outs, num_layers=2, depthwise=depthwise)
    neck = build(shapes, norm_cfg=NORM, act_cfg=SILU, **settings).train()
    inputs = [make_levels([shape], c, batch=2)[0] for shape, c in zip(shapes, (3, 5, 7), strict=True)]
    outputs = neck(inputs)
    assert isinstance(outputs, tuple)
    expected = [*shapes, (2, 2), (1, 1), (1, 1)][:num_outs]
    assert [tuple(level.shape) for level in outputs] == [(2, CHANNELS, *shape) for shape in expected]
    # Distributed training waits for the gradient of every parameter.
    sum((level * torch.rand_like(level)).sum() for level in outputs).backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in neck.parameters())

    # The parts one after another, for one image of the two.
    levels = [lateral(level[1:]) for lateral, level in zip(neck.laterals, inputs, strict=True)]
    if num_outs > 3:
        sixth = halve(neck.extra(inputs[-1][1:]))
        levels += [sixth, halve(sixth), halve(halve(sixth))][: num_outs - 3]
    for one, batched in zip(neck.layers[1](neck.layers[0](levels)), outputs, strict=True):
        torch.testing.assert_close(one, batched[1:])


def count(neck: nn.Module, kind: type) -> int:
    return sum(isinstance(module, kind) for module in neck.modules())


def test_convolutions_norms_and_activations():
    nodes = 2 * (3 + 3)  # layers times nodes down and up
    plain = BiFPN([8] * 4, 8, 4, num_layers=2, depthwise=False)
    assert (count(plain, nn.Conv2d), count(plain, nn.GroupNorm), count(plain, nn.SiLU)) == (4 + nodes, 0, 0)
    assert all(conv.bias is not None for conv in plain.modules() if isinstance(conv, nn.Conv2d))
    neck = BiFPN([8] * 4, 8, 5, num_layers=2, norm_cfg=NORM, act_cfg=SILU)
    nodes = 2 * (4 + 4)
    assert count(neck, nn.Conv2d) == count(neck, nn.GroupNorm) == 5 + 2 * nodes
    assert count(neck, nn.SiLU) == 2 * nodes
    convs = [(conv.groups, conv.kernel_size) for conv in neck.modules() if isinstance(conv, nn.Conv2d)]
    assert convs.count((8, (3, 3))) == convs.count((1, (1, 1))) - 5 == nodes
    assert all(conv.bias is None for conv in neck.modules() if isinstance(conv, nn.Conv2d))
    assert count(BiFPN([8] * 3, 8, 3, norm_cfg=dict(type='BN')), nn.BatchNorm2d) == 3 + 3 * 4 * 2


def test_state_dict_round_trip():
    shapes = SHAPES['halved']
    one, other = build(shapes, seed=0, act_cfg=SILU), build(shapes, seed=1, act_cfg=SILU)
    levels = make_levels(shapes)
    assert not torch.allclose(one(levels)[0], other(levels)[0])
    other.load_state_dict(one.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(one(levels), other(levels), strict=True))


def test_mixed_precision():
    shapes = SHAPES['halved']
    neck = build(shapes, norm_cfg=NORM, act_cfg=SILU).float()
    levels = [level.float() for level in make_levels(shapes)]
    exact = neck(levels)
    with torch.autocast('cpu', torch.bfloat16):
        found = neck([level.bfloat16() for level in levels])
    for one, other in zip(found, exact, strict=True):
        assert one.isfinite().all()
        assert (one.float() - other).abs().mean() < 0.05 * other.abs().mean()


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(num_outs=3), r'num_outs=3 for 4 in_channels'),
        (dict(in_channels=[8, 8], num_outs=2), r'num_outs=2 for 2 in_channels: it needs at least 3'),
        (dict(num_layers=0), r'num_layers=0'),
    ],
)
def test_wrong_settings(settings: dict, message: str):
    with pytest.raises(UserError, match=message):
        build(SHAPES['halved'], **settings)
