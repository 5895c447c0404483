"""Layers as exported graphs want them: attention in few steps, constant padding, half precision where none feels it."""

from itertools import groupby
from typing import Any

import torch
from mmengine.utils.dl_utils.parrots_wrapper import _BatchNorm, _InstanceNorm
from torch import Tensor, nn
from torch.nn.functional import linear

from sparse_rcnn_ext.engine.config.input_images import blank_images
from sparse_rcnn_ext.models import SparseRCNN


class PlainAttention(nn.Module):
    """:class:`torch.nn.MultiheadAttention` with ``batch_first``, without dropout, masks and the weights as a result.

    torch's own goes through sequences first and takes heads for images: twice as many steps in a graph.

    Args:
        original: Whose weights to take.
    """

    def __init__(self, original: nn.MultiheadAttention) -> None:
        super().__init__()
        self.num_heads = original.num_heads
        channels = original.embed_dim
        weight, bias = original.in_proj_weight.detach().clone(), original.in_proj_bias.detach().clone()
        # The products of queries and keys are divided by the root of a head's channels: as well the queries are.
        for queries in (weight[:channels], bias[:channels]):
            queries *= original.head_dim**-0.5
        self.in_proj_weight, self.in_proj_bias = (nn.Parameter(part, requires_grad=False) for part in (weight, bias))
        self.out_proj = original.out_proj

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, attn_mask: None = None, need_weights: bool = False
    ) -> tuple[Tensor, None]:
        """(B, N, C), (B, T, C), (B, T, C) to (B, N, C), and None in place of the weights."""
        queries, keys, values = self._project((query, key, value))
        shares = (queries @ keys.transpose(-1, -2)).softmax(dim=-1)  # (B, heads, N, T)
        return self.out_proj((shares @ values).transpose(1, 2).flatten(2)), None

    def _project(self, inputs: tuple[Tensor, Tensor, Tensor]) -> list[Tensor]:
        """Queries, keys and values, (B, heads, ·, C / heads) each; those of the same input by one product."""
        projected, row = [], 0
        for _, same in groupby(inputs, key=id):
            features, *others = same
            count, channels = 1 + len(others), features.shape[-1]
            rows = slice(row * channels, (row + count) * channels)
            mixed = linear(features.to(self.in_proj_weight.dtype), self.in_proj_weight[rows], self.in_proj_bias[rows])
            heads = mixed.unflatten(-1, (count, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
            projected += heads.unbind(0)
            row += count
        return projected


@torch.no_grad()
def fix_same_padding(network: nn.Module, divisor: int) -> int:
    """Replace timm's ``Conv2dSame`` wherever its padding is the same for all images that may come.

    It pads by what is missing to the next multiple of its stride. Images whose sides are multiples of ``divisor`` reach
    a layer at multiples of some number; if that is one of the stride's, nothing is missing but the kernel's rim. Left
    as a formula of a symbolic size, a few such layers in a row keep torch.export busy for minutes.

    Args:
        network: In eval mode, from (B, 3, H, W); changed in place.
        divisor: Heights and widths are multiples of this.

    Returns:
        How many layers were replaced.
    """
    from timm.layers import Conv2dSame  # takes a second, and only timm's networks have it

    layers = {name: module for name, module in network.named_modules() if type(module) is Conv2dSame}
    if not layers:
        return 0
    sizes = {}

    def note(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        sizes[layer] = inputs[0].shape[2:]

    handles = [layer.register_forward_pre_hook(note) for layer in layers.values()]
    network(blank_images(network, divisor, divisor))
    for handle in handles:
        handle.remove()
    fixed = 0
    for name, layer in layers.items():
        if layer not in sizes or any(side % stride for side, stride in zip(sizes[layer], layer.stride, strict=True)):
            continue
        parent, _, attribute = name.rpartition('.')
        setattr(network.get_submodule(parent), attribute, _with_constant_padding(layer))
        fixed += 1
    return fixed


def _with_constant_padding(layer: nn.Conv2d) -> nn.Sequential:
    missing = [
        max((kernel - 1) * dilation + 1 - stride, 0)
        for kernel, dilation, stride in zip(layer.kernel_size, layer.dilation, layer.stride, strict=True)
    ]
    top, left = (count // 2 for count in missing)
    conv = nn.Conv2d(
        layer.in_channels,
        layer.out_channels,
        layer.kernel_size,
        layer.stride,
        dilation=layer.dilation,
        groups=layer.groups,
        bias=layer.bias is not None,
    )
    conv.load_state_dict(layer.state_dict())
    return nn.Sequential(nn.ZeroPad2d((left, missing[1] - left, top, missing[0] - top)), conv.eval())


TOWERS = {'cls_fcs', 'fc_cls', 'reg_fcs', 'fc_reg'}
"""Of a stage, behind what goes on to the next one: what they say is the result."""
NORMS = (nn.LayerNorm, nn.GroupNorm, _BatchNorm, _InstanceNorm)
LAYERS = (nn.Conv2d, nn.Linear, nn.MultiheadAttention, *NORMS)
FEW_CHANNELS = 4


def halve(detector: SparseRCNN) -> None:
    """Make backbone, neck and stages compute in float16, but for what loses most by it and has few weights.

    These are norms, towers, and convolutions with at most four input channels for each output: the first one and
    depthwise ones. They compute in float32 and give what they get, float16 or float32. What goes on from stage to
    stage stays float32, and so do boxes and scores.

    Args:
        detector: In float32; it is changed.
    """
    for network in (detector.backbone, detector.neck, detector.roi_head.bbox_head):
        for name, layer in network.named_modules():
            if not is_sensitive(name, layer):
                _halve_own(layer)
            if isinstance(layer, LAYERS) and next(layer.parameters(), None) is not None:
                _cast_inputs(layer)


def is_sensitive(name: str, layer: nn.Module) -> bool:
    """Whether a layer of this name inside of its network stays float32."""
    if isinstance(layer, nn.Conv2d):
        return layer.weight.shape[1] <= FEW_CHANNELS
    return isinstance(layer, NORMS) or bool(TOWERS & {*name.split('.')})


def _halve_own(layer: nn.Module) -> None:
    for tensor in (*layer.parameters(recurse=False), *layer.buffers(recurse=False)):
        if tensor.is_floating_point():
            tensor.data = tensor.data.half()


def _cast_inputs(layer: nn.Module) -> None:
    """Bring what a layer gets to what it computes in."""
    dtype, forward = next(layer.parameters()).dtype, layer.forward

    def cast(*inputs: Tensor, **options: Any) -> Tensor | tuple[Tensor, Tensor | None]:
        found = forward(*(features.to(dtype) for features in inputs), **options)
        return found.to(inputs[0].dtype) if dtype == torch.float32 else found

    layer.forward = cast
