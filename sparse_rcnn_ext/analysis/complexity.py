"""Parameters and multiply-adds of a Sparse R-CNN, part by part."""

from math import prod
from typing import NamedTuple

import torch
from mmengine.analysis import FlopAnalyzer
from mmengine.analysis.jit_handles import (
    addmm_flop_jit,
    bmm_flop_jit,
    conv_flop_jit,
    einsum_flop_jit,
    get_shape,
    linear_flop_jit,
    matmul_flop_jit,
)
from torch import Tensor, nn

from sparse_rcnn_ext.engine.config.input_images import blank_images
from sparse_rcnn_ext.models import SparseRCNN

STAGE_PARTS = {
    'self-attention': ('attention', 'attention_norm'),
    'instance interaction': ('instance_interactive_conv', 'instance_interactive_conv_norm'),
    'feed-forward network': ('ffn', 'ffn_norm'),
    'classification tower': ('cls_fcs', 'fc_cls'),
    'box tower': ('reg_fcs', 'fc_reg'),
}
INTERACTION = 'instance_interactive_conv'
LAYERS = {'dynamic_layer': 'filters from proposals', 'fc_layer': 'projection'}


class Part(NamedTuple):
    """A part of a detector."""

    name: str
    level: int
    """0: these parts make up the detector; 1: these make up its stages; 2: most of what an interaction does."""
    parameters: int
    flops: int
    """Multiply-adds for one image."""


class Complexity(NamedTuple):
    """What one image costs."""

    parts: list[Part]
    parameters: int
    trainable: int
    """Parameters that are not frozen."""
    batch_norm: int
    """Parameters in BatchNorm layers. detectron2 keeps frozen ones as buffers, and so its sums lack them."""
    flops: int
    """Multiply-adds."""
    uncounted: dict[str, int]
    """How often the operators ran that count as free, such as sums, norms and activations."""


def _attention(inputs: list, outputs: list) -> int:
    """(…, N, E) queries over (…, M, E) keys with (…, M, F) values: both products."""
    query, key, value = (get_shape(tensor) for tensor in inputs[:3])
    return prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


def _bags(inputs: list, outputs: list) -> int:
    """(M, C) sums of Q weighted rows each, from (M, Q) indices."""
    return prod(get_shape(outputs[0])) * get_shape(inputs[1])[-1]


# mmengine's own table has norms too, with a guess at their operations; what counts here is multiply-adds alone.
COUNTED = {
    'aten::_convolution': conv_flop_jit,
    'aten::addmm': addmm_flop_jit,
    'aten::bmm': bmm_flop_jit,
    'aten::einsum': einsum_flop_jit,
    'aten::linear': linear_flop_jit,
    'aten::matmul': matmul_flop_jit,
    'aten::mm': matmul_flop_jit,
    'aten::scaled_dot_product_attention': _attention,
    # The tracer does not look into functions with a gradient of their own, such as that of bag_pooling.
    'prim::PythonOp._PooledBags': _bags,
}


class _Stages(nn.Module):
    """The detector as a function of tensors, which is what can be traced."""

    def __init__(self, detector: SparseRCNN) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, batch_inputs: Tensor, image_whwh: Tensor) -> tuple[Tensor, Tensor]:
        return self.detector.forward_stages(batch_inputs, image_whwh)


def count_complexity(detector: SparseRCNN, size: tuple[int, int]) -> Complexity:
    """Count parameters and the multiply-adds of one image, with mmengine's counter.

    Counted are convolutions, linear layers, all products of matrices (attention and dynamic convolution with them) and
    the weighted sums of RoI pooling. The numbers depend on no weight and no pixel.

    Args:
        detector: On the CPU; it is left in eval mode. Stages beyond its ``num_test_stages`` have parameters alone.
        size: Height and width of the network's input in pixels.
    """
    detector.eval()
    height, width = size
    image_whwh = torch.tensor([[width, height, width, height]], dtype=torch.float32)
    inputs = (blank_images(detector, height, width), image_whwh)
    analyzer = FlopAnalyzer(_Stages(detector), inputs).clear_op_handles().set_op_handle(**COUNTED)
    analyzer.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    # One fused operator would hide the products inside of an attention layer.
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad():
            flops = analyzer.by_module()
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    batch_norm = (module for module in detector.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm))
    return Complexity(
        parts=_split(detector, {name.removeprefix('detector.'): count for name, count in flops.items()}),
        parameters=_size(detector),
        trainable=sum(weight.numel() for weight in detector.parameters() if weight.requires_grad),
        batch_norm=sum(map(_size, batch_norm)),
        flops=flops[''],
        uncounted=dict(analyzer.unsupported_ops().most_common()),
    )


def _size(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


def _stages_name(detector: SparseRCNN) -> str:
    there, running = detector.roi_head.num_stages, detector.num_test_stages
    return f'stages ({there})' if running == there else f'stages ({running} of {there})'


def _split(detector: SparseRCNN, flops: dict[str, int]) -> list[Part]:
    """The parts, from the multiply-adds of every module by its name."""
    stages = 'roi_head.bbox_head'
    own = flops['roi_head'] - flops[stages]

    def part(name: str, level: int, paths: list[str]) -> Part:
        modules = [detector.get_submodule(path) for path in paths]
        return Part(name, level, sum(map(_size, modules)), sum(flops[path] for path in paths))

    parts = [
        part(f'backbone ({type(detector.backbone).__name__})', 0, ['backbone']),
        part(f'neck ({type(detector.neck).__name__})', 0, ['neck']),
        part('proposals', 0, ['rpn_head']),
        Part('RoI pooling', 0, _size(detector.roi_head) - _size(detector.roi_head.bbox_head), own),
        part(_stages_name(detector), 0, [stages]),
    ]
    # A stage that is shared stands in the list once and ran several times.
    first_to_last = [f'{stages}.{index}' for index, _ in detector.roi_head.bbox_head.named_children()]
    for name, attributes in STAGE_PARTS.items():
        parts.append(part(name, 1, [f'{stage}.{attribute}' for stage in first_to_last for attribute in attributes]))
        if INTERACTION in attributes:
            interactions = [f'{stage}.{INTERACTION}' for stage in first_to_last]
            layers = [name for name, _ in detector.get_submodule(interactions[0]).named_children()]
            inner = [part(LAYERS.get(name, name), 2, [f'{path}.{name}' for path in interactions]) for name in layers]
            products = sum(flops[path] for path in interactions) - sum(layer.flops for layer in inner)
            inner.append(Part('filters on RoIs', 2, 0, products))
            parts += [layer for layer in inner if layer.flops]
    return parts
