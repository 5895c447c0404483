"""TensorFlow's padding, which depends on the size of the image, made constant."""

import torch
from torch import Tensor, nn

from sparse_rcnn_ext.engine.input_channels import blank_images


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
