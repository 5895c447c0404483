"""The fast linear layer is torch's, value for value and gradient for gradient."""

import pytest
import torch
from torch import nn

from sparse_rcnn_ext.models import dynamic_conv
from sparse_rcnn_ext.models.dynamic_conv import FastLinear

needs_onednn = pytest.mark.skipif(dynamic_conv._product is None, reason='this torch has no oneDNN')


@pytest.fixture
def calls(monkeypatch) -> list[tuple[int, ...]]:
    """Shapes of the inputs that oneDNN gets."""
    shapes = []
    product = dynamic_conv._product

    def counted(features, *arguments):
        shapes.append(tuple(features.shape))
        return product(features, *arguments)

    monkeypatch.setattr(dynamic_conv, '_product', counted)
    return shapes


@needs_onednn
@pytest.mark.parametrize('bias', [True, False])
@pytest.mark.parametrize('sizes', [(1, 1, 1), (3, 5, 7), (64, 300, 20), (40, 16, 500)])
def test_equals_the_product_in_float64(calls, sizes, bias):
    rows, width, out = sizes
    torch.manual_seed(0)
    layer = FastLinear(width, out, bias=bias)
    features = torch.randn(rows, width, requires_grad=True)
    grad = torch.randn(rows, out)
    found = layer(features)
    found.backward(grad)
    weight = layer.weight.detach().double()
    expected = features.detach().double() @ weight.t() + (layer.bias.detach().double() if bias else 0)
    close = dict(rtol=1e-4, atol=1e-4, check_dtype=False)
    torch.testing.assert_close(found, expected, **close)
    torch.testing.assert_close(features.grad, grad.double() @ weight, **close)
    torch.testing.assert_close(layer.weight.grad, grad.double().t() @ features.detach().double(), **close)
    if bias:
        torch.testing.assert_close(layer.bias.grad, grad.double().sum(0), **close)
    assert calls == [(rows, width), (rows, out), (out, rows)]


@needs_onednn
def test_only_what_is_asked_for_is_computed(calls):
    layer = FastLinear(3, 4)
    layer.weight.requires_grad_(False)
    features = torch.randn(2, 3, requires_grad=True)
    layer(features).sum().backward()
    assert layer.weight.grad is None and features.grad is not None and len(calls) == 2
    with torch.no_grad():
        assert not layer(features).requires_grad


def test_other_dtypes_are_torchs_own(calls):
    layer = FastLinear(3, 4)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert layer(torch.randn(2, 3)).dtype == torch.bfloat16
    assert layer.double()(torch.randn(2, 3, dtype=torch.float64)).dtype == torch.float64
    assert calls == []


def test_without_onednn(monkeypatch):
    torch.manual_seed(0)
    layer, features = FastLinear(3, 4), torch.randn(2, 3)
    monkeypatch.setattr(dynamic_conv, '_product', None)
    torch.testing.assert_close(layer(features), features @ layer.weight.t() + layer.bias)


def test_a_traced_layer_holds_torchs_operators(calls):
    layer, features = FastLinear(3, 4), torch.randn(2, 3)
    traced = torch.jit.trace(layer, features, check_trace=False)
    assert 'aten::linear' in str(traced.inlined_graph) and calls == []
    program = torch.export.export(nn.Sequential(layer), (features,))
    operators = {node.target for node in program.graph.nodes if node.op == 'call_function'}
    assert operators == {torch.ops.aten.linear.default}


def test_weights_and_names_are_those_of_torch():
    layer, plain = FastLinear(3, 4), nn.Linear(3, 4)
    plain.load_state_dict(layer.state_dict())
    assert list(layer.state_dict()) == ['weight', 'bias'] and isinstance(layer, nn.Linear)
