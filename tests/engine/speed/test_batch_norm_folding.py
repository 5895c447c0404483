"""Batch norm folded into convolutions."""

import pytest
import torch
from torch import nn
from torch.nn.functional import normalize

from sparse_rcnn_ext.engine.speed.batch_norm_folding import fold_batch_norm
from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.models.backbones import TimmBackbone
from tests.models.small_model import build_model


def spread_statistics(network: nn.Module) -> nn.Module:
    """Statistics and weights as after a training; fresh ones are zeros and ones."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for value, low, high in [(module.running_mean, -1, 1), (module.running_var, 0.5, 2)]:
                value.uniform_(low, high, generator=generator)
            with torch.no_grad():
                module.weight.uniform_(0.5, 2, generator=generator)
                module.bias.uniform_(-1, 1, generator=generator)
    network.eval()  # mmdet's ResNet returns nothing
    return network


def count_norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def image() -> torch.Tensor:
    return torch.randn(2, 3, 64, 96, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope='module')
def resnet():
    return spread_statistics(build_model().backbone.double())


def lite0():
    return TimmBackbone('tf_efficientnet_lite0', out_indices=(1, 2, 3, 4)).double()


def test_of_a_resnet(resnet):
    expected = [level.clone() for level in resnet(image())]
    norms = count_norms(resnet)
    assert fold_batch_norm(resnet, image()[:, :, :64, :64]) == norms == 53
    assert count_norms(resnet) == 0
    for level, before in zip(resnet(image()), expected, strict=True):
        torch.testing.assert_close(level, before, rtol=1e-9, atol=1e-9)


def test_of_timm_whose_norms_hold_the_activation():
    network = spread_statistics(lite0())
    expected = network(image())
    norms = count_norms(network)
    assert fold_batch_norm(network, image()) == norms > 40
    for level, before in zip(network(image()), expected, strict=True):
        torch.testing.assert_close(level, before, rtol=1e-9, atol=1e-9)


class Crossed(nn.Module):
    """Modules in another order than their data; one convolution runs twice, one norm follows no convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.second, self.first_norm, self.first = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(3, 4, 1)
        self.shared, self.norm_a, self.norm_b = nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.BatchNorm2d(4)
        self.after_relu = nn.BatchNorm2d(4)

    def forward(self, x):
        x = self.after_relu(self.second(self.first_norm(self.first(x))).relu())
        return self.norm_a(self.shared(x)), self.norm_b(self.shared(x + 1))


def test_follows_the_data():
    torch.manual_seed(0)
    network = spread_statistics(Crossed().double())
    expected = network(image())
    assert fold_batch_norm(network, image()) == 1
    assert isinstance(network.first_norm, nn.Identity)
    for level, before in zip(network(image()), expected, strict=True):
        torch.testing.assert_close(level, before, rtol=1e-9, atol=1e-9)


class NormalisedConv(nn.Conv2d):
    def forward(self, x):
        return nn.functional.conv2d(x, normalize(self.weight, dim=1), self.bias)


def test_refuses_what_would_change():
    network = spread_statistics(nn.Sequential(NormalisedConv(3, 4, 1), nn.BatchNorm2d(4)).double())
    with pytest.raises(UserError, match=r'cannot be folded .* --fuse-conv-bn'):
        fold_batch_norm(network, image())
