"""timm's size-dependent padding made constant."""

import pytest
import torch
from timm.layers import Conv2dSame
from torch import nn

from sparse_rcnn_ext.export.plain_layers import fix_same_padding


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        Conv2dSame(3, 4, 3, stride=2, bias=False),
        nn.Sequential(Conv2dSame(4, 4, 5, stride=2, groups=4), Conv2dSame(4, 4, (3, 5), stride=(2, 1), dilation=2)),
    ).eval()


@pytest.mark.parametrize('size', [(8, 8), (16, 40), (64, 24)])
def test_same_result(size):
    original, fixed = network(), network()
    assert fix_same_padding(fixed, 8) == 3
    assert not any(isinstance(module, Conv2dSame) for module in fixed.modules())
    image = torch.randn(2, 3, *size)
    assert torch.equal(fixed(image), original(image))


def test_layers_whose_input_may_be_odd_stay():
    original, fixed = network(), network()
    assert fix_same_padding(fixed, 4) == 2
    assert isinstance(fixed[1][1], Conv2dSame)
    image = torch.randn(1, 3, 12, 20)
    assert torch.equal(fixed(image), original(image))


def test_nothing_to_do():
    assert fix_same_padding(nn.Conv2d(3, 4, 3), 1) == 0
