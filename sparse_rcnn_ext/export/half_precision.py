"""Half precision where a detection does not feel it, for exported graphs."""

from typing import Any

import torch
from mmengine.utils.dl_utils.parrots_wrapper import _BatchNorm, _InstanceNorm
from torch import Tensor, nn

from sparse_rcnn_ext.models import SparseRCNN

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
