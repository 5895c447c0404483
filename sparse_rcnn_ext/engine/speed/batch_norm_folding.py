"""Batch normalisation as part of the convolution before it, for inference."""

from collections import Counter

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from sparse_rcnn_ext.errors import UserError

_PLAIN = (nn.BatchNorm2d, nn.SyncBatchNorm)


def fold_batch_norm(network: nn.Module, image: Tensor) -> int:
    """Fold every batch normalisation that reads what a convolution wrote into that convolution.

    Which convolution that is comes from a run, not from the order of the modules, which need not be that of the data.

    Args:
        network: In eval mode; changed in place. It takes ``image`` to a tensor, or to a sequence of them.
        image: (B, 3, H, W), on which the network runs before and after.

    Returns:
        How many were folded.

    Raises:
        UserError: If the network then computes something else, as where convolutions normalise their weights.
    """
    before, pairs = _run(network, image)
    names = {module: name for name, module in network.named_modules()}
    for norm, conv in pairs:
        conv.weight, conv.bias = fuse_conv_bn_weights(
            conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
        )
        parent, _, name = names[norm].rpartition('.')
        setattr(network.get_submodule(parent), name, _rest(norm))
    after, _ = _run(network, image)
    for old, new in zip(before, after, strict=True):
        if (old - new).abs().max() > 1e-3 * old.abs().max():
            raise UserError(
                f'batch norm cannot be folded into the convolutions of {type(network).__name__}: '
                'test without --fuse-conv-bn (fuse_conv_bn=False of the FastInferenceHook)'
            )
    return len(pairs)


@torch.no_grad()
def _run(network: nn.Module, image: Tensor) -> tuple[list[Tensor], list[tuple[nn.Module, nn.Conv2d]]]:
    """Outputs, and the pairs of a norm and the convolution that it alone follows."""
    written: list[tuple[Tensor, nn.Conv2d]] = []
    read: list[tuple[Tensor, nn.Module]] = []
    handles = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            handles.append(module.register_forward_hook(lambda conv, _, out: written.append((out, conv))))
        elif isinstance(module, _PLAIN) and module.running_mean is not None and _rest(module) is not None:
            handles.append(module.register_forward_pre_hook(lambda norm, inputs: read.append((inputs[0], norm))))
    try:
        outputs = network(image)
    finally:
        for handle in handles:
            handle.remove()
    # Those that run twice, such as heads shared by the levels, keep their norm.
    runs = Counter(module for _, module in written + read)
    pairs = [
        (norm, conv)
        for features, norm in read
        for output, conv in written
        if features is output and runs[norm] == runs[conv] == 1
    ]
    return [outputs] if isinstance(outputs, Tensor) else list(outputs), pairs


def _rest(norm: nn.Module) -> nn.Module | None:
    """What a norm does beside normalising; None where that is not known."""
    if type(norm) in _PLAIN:
        return nn.Identity()
    from timm.layers import BatchNormAct2d  # takes a second, and only timm's networks have it

    return nn.Sequential(norm.drop, norm.act) if type(norm) is BatchNormAct2d else None
