"""Pooling from a shared table has the gradient that autograd would give, however the table is used."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from sparse_rcnn_ext.models.bag_pooling import pool_bags, share_rows

ROWS, CHANNELS = 11, 3


def make_bags(num_bags: int, seed: int) -> tuple[Tensor, Tensor]:
    """Row numbers and weights (num_bags, 4); rows repeat within and between bags, some are never read."""
    generator = torch.Generator().manual_seed(seed)
    indices = torch.randint(0, ROWS - 2, (num_bags, 4), generator=generator)
    return indices, torch.randn(num_bags, 4, generator=generator, dtype=torch.float64)


def make_source() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(ROWS, CHANNELS, generator=generator, dtype=torch.float64).requires_grad_()


class Shared:
    """The table under test."""

    def __init__(self, source: Tensor) -> None:
        self.rows, self.gradients = share_rows(source)

    def pool(self, indices: Tensor, weights: Tensor) -> Tensor:
        return pool_bags(self.rows, indices, weights, self.gradients)


class Plain:
    """The same through autograd alone."""

    def __init__(self, source: Tensor) -> None:
        self.rows = source * 1

    def pool(self, indices: Tensor, weights: Tensor) -> Tensor:
        return (self.rows[indices] * weights[..., None]).sum(1)


def gradients_of(use) -> tuple[list[Tensor], list[Tensor]]:
    """Gradients of the source from ``use(table, source)``, by the table under test and by autograd."""
    results = []
    for kind in (Shared, Plain):
        source = make_source()
        results.append([grad.clone() for grad in use(kind(source), source)])
    return results[0], results[1]


def assert_same(use) -> None:
    ours, theirs = gradients_of(use)
    assert len(ours) == len(theirs) > 0
    for found, expected in zip(ours, theirs, strict=True):
        assert expected.abs().sum() > 0
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-13)


def test_values():
    source = make_source()
    bags = make_bags(6, 1)
    torch.testing.assert_close(Shared(source).pool(*bags), Plain(source).pool(*bags), rtol=1e-12, atol=1e-13)


def test_several_stages_one_backward():
    def use(table, source):
        sum(table.pool(*make_bags(5 + stage, stage)).pow(2).sum() for stage in range(4)).backward()
        yield source.grad

    assert_same(use)


def test_stages_that_depend_on_each_other():
    def use(table, source):
        first = table.pool(*make_bags(6, 1))
        indices, weights = make_bags(6, 2)
        second = table.pool(indices, weights) * first.pow(2)
        (second.sin().sum() + first.sum()).backward()
        yield source.grad

    assert_same(use)


def test_table_and_source_are_used_elsewhere_too():
    def use(table, source):
        pooled = table.pool(*make_bags(6, 1)).pow(2).sum()
        (pooled + table.rows.pow(3).sum() + source.exp().sum()).backward()
        yield source.grad

    assert_same(use)


def test_table_used_elsewhere_and_never_pooled_from():
    def use(table, source):
        table.pool(*make_bags(6, 1))
        table.rows.pow(3).sum().backward()
        yield source.grad

    assert_same(use)


def test_only_some_pooled_outputs_get_gradients():
    def use(table, source):
        pooled = [table.pool(*make_bags(6, stage)) for stage in range(3)]
        pooled[1][2:4].pow(2).sum().backward()
        yield source.grad

    assert_same(use)


def test_two_backward_passes_through_one_graph():
    def use(table, source):
        loss = table.pool(*make_bags(6, 1)).pow(2).sum() + table.pool(*make_bags(4, 2)).exp().sum()
        loss.backward(retain_graph=True)
        yield source.grad
        loss.backward()
        yield source.grad  # twice the first

    assert_same(use)


def test_a_backward_pass_for_each_stage():
    def use(table, source):
        first, second = (table.pool(*make_bags(6, stage)).pow(2).sum() for stage in (1, 2))
        first.backward(retain_graph=True)
        yield source.grad
        second.backward()
        yield source.grad

    assert_same(use)


def test_gradients_by_torch_autograd_grad():
    def use(table, source):
        loss = table.pool(*make_bags(6, 1)).pow(2).sum()
        yield torch.autograd.grad(loss, source, retain_graph=True)[0]
        yield torch.autograd.grad(loss, source)[0]

    assert_same(use)


def test_numerically():
    source = make_source()
    bags = [make_bags(5, stage) for stage in range(2)]

    def use(source: Tensor) -> Tensor:
        table = Shared(source)
        return torch.cat([table.pool(*bag) for bag in bags])

    assert torch.autograd.gradcheck(use, (source,))


def test_nothing_is_kept_without_gradients():
    source = make_source()
    with torch.no_grad():
        table = Shared(source)
        pooled = table.pool(*make_bags(6, 1))
    assert not pooled.requires_grad
    frozen = Shared(source.detach()).pool(*make_bags(6, 1))
    assert not frozen.requires_grad
    assert torch.equal(frozen, pooled)
    assert table.gradients.collect(ROWS) is None


def test_nothing_is_left_after_a_backward_pass():
    table = Shared(make_source())
    table.pool(*make_bags(6, 1)).sum().backward()
    assert table.gradients.collect(ROWS) is None


def test_second_derivatives_are_refused():
    source = make_source()
    loss = Shared(source).pool(*make_bags(6, 1)).pow(2).sum()
    (grad,) = torch.autograd.grad(loss, source, create_graph=True)
    with pytest.raises(RuntimeError, match=r'once_differentiable|does not require grad'):
        grad.sum().backward()


def test_weights_get_no_gradient():
    indices, weights = make_bags(6, 1)
    weights.requires_grad_()
    pooled = Shared(make_source()).pool(indices, weights)
    pooled.sum().backward()
    assert weights.grad is None
    assert torch.equal(pooled, embedding_bag(indices, make_source(), mode='sum', per_sample_weights=weights))
