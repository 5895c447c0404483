"""Dynamic convolution: every proposal makes the filters that read its own RoI.

Its linear layers have most of a step's products. On a CPU in float32 they are oneDNN's: torch leaves them to MKL, which
does not use all instructions of CPUs that are not Intel's. On an AMD EPYC with AVX-512, oneDNN took 0.4 of MKL's time.
"""

import torch
from mmengine.model import BaseModule
from torch import Tensor, bmm, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear

from sparse_rcnn_ext.registry import MODELS


@MODELS.register_module()
class DynamicConv(BaseModule):
    """Two 1×1 convolutions whose filters come from the proposal feature, then one projection.

    Dynamic instance interaction of Sparse R-CNN (https://arxiv.org/abs/2011.12450), figure 4.

    Args:
        in_channels: Channels of the proposal and of the RoI features (C); the output has as many.
        feat_channels: Channels between the two dynamic convolutions (D).
        input_feat_shape: Side of the RoI grid (7 gives 49 positions).
    """

    def __init__(self, in_channels: int = 256, feat_channels: int = 64, input_feat_shape: int = 7) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.feat_channels = feat_channels
        self.num_filter_params = in_channels * feat_channels
        self.dynamic_layer = FastLinear(in_channels, 2 * self.num_filter_params)
        self.norm_in = nn.LayerNorm(feat_channels)
        self.norm_out = nn.LayerNorm(in_channels)
        self.activation = nn.ReLU(inplace=True)
        self.fc_layer = FastLinear(in_channels * input_feat_shape**2, in_channels)
        self.fc_norm = nn.LayerNorm(in_channels)

    def forward(self, proposal_feats: Tensor, roi_feats: Tensor) -> Tensor:
        """Filter each RoI with its proposal's own kernels.

        Args:
            proposal_feats: (M, C), one per RoI.
            roi_feats: (M, P, C), P grid positions.

        Returns:
            (M, C).
        """
        params = self.dynamic_layer(proposal_feats)  # (M, 2·C·D)
        # Not two slices: each would have a gradient as large as the whole, filled with zeros.
        kernel_in, kernel_out = params.unflatten(1, (2, self.num_filter_params)).unbind(1)
        kernel_in = kernel_in.view(-1, self.in_channels, self.feat_channels)  # (M, C, D)
        kernel_out = kernel_out.view(-1, self.feat_channels, self.in_channels)  # (M, D, C)

        feats = self.activation(self.norm_in(bmm(roi_feats, kernel_in)))  # (M, P, D)
        feats = self.activation(self.norm_out(bmm(feats, kernel_out)))  # (M, P, C)
        return self.activation(self.fc_norm(self.fc_layer(feats.flatten(1))))  # (M, C)


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
