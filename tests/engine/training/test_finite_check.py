"""What counts as not finite."""

import pytest
import torch
from torch import nn

from sparse_rcnn_ext.engine.training.finite_check import FiniteCheck, ill_weights

NAN, INF = float('nan'), float('inf')


def check(loss: float, *gradients: float) -> FiniteCheck:
    parameters = [nn.Parameter(torch.zeros(2)) for _ in range(len(gradients) + 1)]
    for parameter, gradient in zip(parameters, gradients):
        parameter.grad = torch.tensor([1.0, gradient])
    return FiniteCheck(torch.tensor(loss), parameters)


@pytest.mark.parametrize('bad', [NAN, INF, -INF])
def test_loss_and_gradients(bad):
    assert check(1.0, 2.0, 3.0).read() == (False,) * 4
    assert check(bad, 2.0, 3.0).read() == (True, False, True, False)
    found = check(1.0, 2.0, bad)
    assert found.read() == (False, True, False, True)
    assert [id(parameter) for parameter in found.ill_parameters()] == [id(found.parameters[1])]
    assert check(bad).read() == (True, False, True, False)  # nothing had a gradient


def test_a_gradient_that_no_optimizer_can_square():
    assert check(1.0, 1e18).read() == (False,) * 4
    assert check(1.0, 1e20).read() == (False, True, False, True)


def test_weights():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    # As the masks of attention.
    model.register_buffer('mask', torch.tensor([0.0, -INF]))
    assert ill_weights(model) == []
    model[0].weight.data[0, 1] = INF
    model[1].running_var[0] = NAN
    assert ill_weights(model) == ['0.weight', '1.running_var']
    assert ill_weights(nn.ReLU()) == []
    # No norm of these is finite.
    model = nn.Linear(2, 2)
    model.weight.data.fill_(1e30)
    assert ill_weights(model) == []
