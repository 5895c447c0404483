"""Weighted sums of table rows, with one scatter for all of them in the backward pass.

Every stage reads the same table. Left to autograd, each of the S stages would write a dense gradient as large as the
table and add it up. Here a stage only leaves its bags and its gradient behind, and the table gathers all of them once:
the gradient of a row is a weighted sum of the bins that read it, which is the same operation with the roles swapped.
"""

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn.functional import embedding_bag


class BagGradients:
    """Bags read from one table and the gradients of their sums, until the table collects them."""

    def __init__(self) -> None:
        self._left: list[tuple[Tensor, Tensor, Tensor]] = []

    def leave(self, indices: Tensor, weights: Tensor, grad: Tensor) -> None:
        """Keep the gradient (M, C) of the sums over bags (M, Q)."""
        self._left.append((indices, weights, grad))

    def collect(self, num_rows: int) -> Tensor | None:
        """Gradient (num_rows, C) of the table from everything left, which is forgotten; None if there is nothing."""
        if not self._left:
            return None
        indices, weights, grads = (torch.cat(parts) for parts in zip(*self._left, strict=True))
        self._left.clear()
        rows, order = indices.flatten().sort()  # the reads of each row side by side
        first = torch.searchsorted(rows, torch.arange(num_rows, device=rows.device, dtype=rows.dtype))
        bins = order // indices.shape[1]
        return embedding_bag(bins, grads, first, mode='sum', per_sample_weights=weights.flatten()[order])


class _SharedRows(Function):
    @staticmethod
    def forward(ctx, rows: Tensor, gradients: BagGradients) -> Tensor:
        ctx.gradients = gradients
        ctx.num_rows = len(rows)
        ctx.set_materialize_grads(False)
        return rows.view_as(rows)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor | None) -> tuple[Tensor | None, None]:
        collected = ctx.gradients.collect(ctx.num_rows)
        if grad is None or collected is None:
            return (collected if grad is None else grad), None
        return grad + collected, None


class _PooledBags(Function):
    @staticmethod
    def forward(ctx, rows: Tensor, indices: Tensor, weights: Tensor, gradients: BagGradients) -> Tensor:
        ctx.save_for_backward(indices, weights)
        ctx.gradients = gradients
        return embedding_bag(indices, rows, mode='sum', per_sample_weights=weights)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[None, None, None, None]:
        ctx.gradients.leave(*ctx.saved_tensors, grad)
        return None, None, None, None


def share_rows(rows: Tensor) -> tuple[Tensor, BagGradients]:
    """Make a table (R, C) ready to be read by :func:`pool_bags` any number of times."""
    gradients = BagGradients()
    return _SharedRows.apply(rows, gradients), gradients


def pool_bags(rows: Tensor, indices: Tensor, weights: Tensor, gradients: BagGradients) -> Tensor:
    """Sum weighted rows.

    Args:
        rows: (R, C) from :func:`share_rows`.
        indices: (M, Q) row numbers.
        weights: (M, Q), of the dtype of ``rows``; no gradient reaches them.
        gradients: From the same call of :func:`share_rows`.

    Returns:
        (M, C).
    """
    return _PooledBags.apply(rows, indices, weights, gradients)
