"""A linear layer whose float32 product is oneDNN's on a CPU.

torch leaves such products to MKL, which does not use all instructions of CPUs that are not Intel's: on an AMD EPYC with
AVX-512, oneDNN took 0.4 of MKL's time. A layer is worth it where it has most of a step's products.
"""

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear

# The operator behind compiled models; torch has no public name for it.
_product = getattr(torch.ops.mkldnn, '_linear_pointwise', None) if torch.backends.mkldnn.is_available() else None


class FastLinear(nn.Linear):
    """:class:`torch.nn.Linear`, with the same weights, names and result up to rounding."""

    def forward(self, features: Tensor) -> Tensor:
        """(M, in_features) to (M, out_features)."""
        if _is_for_onednn(features, self.weight):
            return _Linear.apply(features, self.weight, self.bias)
        return linear(features, self.weight, self.bias)


class _Linear(Function):
    @staticmethod
    def forward(ctx, features: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(features, weight)
        return _product(features, weight, bias, 'none', [], '')

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        features, weight = ctx.saved_tensors
        of_features, of_weight, of_bias = ctx.needs_input_grad
        return (
            _product(grad, weight.t(), None, 'none', [], '') if of_features else None,
            _product(grad.t(), features.t(), None, 'none', [], '') if of_weight else None,
            grad.sum(0) if of_bias else None,
        )


def _is_for_onednn(features: Tensor, weight: Tensor) -> bool:
    return (
        _product is not None
        and features.device.type == 'cpu'
        and features.dtype == weight.dtype == torch.float32
        and torch.backends.mkldnn.enabled
        and not torch.is_autocast_enabled('cpu')
        # Who reads the graph knows torch's own layer.
        and not (torch.jit.is_tracing() or torch.compiler.is_compiling())
    )
