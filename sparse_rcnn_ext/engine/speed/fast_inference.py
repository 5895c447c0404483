"""A detector's forward pass as fast as this machine has it, from the same weights."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from sparse_rcnn_ext.engine.config.input_images import blank_images
from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.models.sparse_roi_head import StageOutputs

from .amp_optim_wrapper import warn_of_slow_bfloat16
from .batch_norm_folding import fold_batch_norm
from .compilation import compiled

ForwardStages = Callable[[Tensor, Tensor], StageOutputs]


def fast_forward_stages(
    detector: nn.Module,
    fuse_conv_bn: bool = False,
    channels_last: bool = True,
    dtype: str | None = None,
    compile: bool | dict = False,
) -> ForwardStages:
    """What ``detector.forward_stages`` computes, faster.

    It works on a copy of the weights, so that the detector itself, its state dict and averages of its weights stay as
    they are: ``detector.forward_stages = fast_forward_stages(detector)`` switches it on, ``del`` of that attribute off.

    Args:
        detector: A ``SparseRCNN`` on its device, with the weights and ``num_test_stages`` to use. Its mode is left
            alone; the copy is in eval.
        fuse_conv_bn: Fold batch normalisation into convolutions. Detections stay equal up to rounding.
        channels_last: Lay images and convolutions out with the channels last.
        dtype: ``'bfloat16'`` or, on CUDA, ``'float16'``: convolutions and linear layers compute in it and hold their
            weights in it. Boxes, scores and RoI sums stay float32. None computes in the detector's own.
        compile: Compile the whole pass into one graph; a dict has the arguments of ``torch.compile``, such as
            ``dict(mode='reduce-overhead')``, with which torch replays CUDA graphs. Each new shape of images is compiled
            until torch has seen that sizes vary.

    Returns:
        A function of (B, 3, H, W) images and (B, 4) sizes, to be called without gradients.

    Raises:
        UserError: If ``detector`` is no SparseRCNN, the dtype is not to be had, or nothing here can compile.
    """
    if not hasattr(detector, 'forward_stages'):
        raise UserError(
            f'fast inference needs a sparse_rcnn_ext.SparseRCNN, and the model is a {type(detector).__name__}'
        )
    device = next(detector.parameters()).device
    _check_dtype(dtype, device)
    fast = copy.deepcopy(detector).eval().requires_grad_(False)
    if fuse_conv_bn:
        image = blank_images(fast, 64, 64).to(device, next(fast.parameters()).dtype)
        fold_batch_norm(nn.Sequential(fast.backbone, fast.neck), image.uniform_(-1, 1))
    layout = torch.channels_last if channels_last else torch.contiguous_format
    nn.ModuleList([fast.backbone, fast.neck]).to(memory_format=layout)
    if dtype is not None:
        # Autocast would cast these anew for every image.
        for module in fast.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                module.to(getattr(torch, dtype))

    def forward_stages(batch_inputs: Tensor, image_whwh: Tensor) -> StageOutputs:
        autocast_dtype = None if dtype is None else getattr(torch, dtype)
        with torch.autocast(device.type, dtype=autocast_dtype, enabled=dtype is not None):
            return fast.forward_stages(batch_inputs.contiguous(memory_format=layout), image_whwh)

    return compiled(forward_stages, device, compile) if compile else forward_stages


def _check_dtype(dtype: str | None, device: torch.device) -> None:
    if dtype not in (None, 'float16', 'bfloat16'):
        raise UserError(f"the dtype of fast inference is {dtype!r}: set it to 'float16', 'bfloat16' or None")
    if dtype == 'float16' and device.type != 'cuda':
        raise UserError('inference in float16 needs CUDA, which this machine lacks: use --amp bf16')
    if dtype == 'bfloat16' and device.type == 'cpu':
        warn_of_slow_bfloat16()
