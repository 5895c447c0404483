"""mmcv's compiled operators, answered by torchvision where mmcv was installed without them.

``mmdet.models`` cannot be imported without a module ``mmcv._ext``, which takes a compiler and 40 minutes to build.
Of its operators, box detectors on torch need NMS, RoIAlign and, on a GPU, the sigmoid focal loss; torchvision has all
three on the CPU and on CUDA; ``import_hooks`` offers them under mmcv's name. A compiled ``mmcv._ext`` stays.

The functions keep the calling convention of the compiled ones: results are written into the tensors passed in.
"""

import sys
from collections.abc import Callable
from importlib.abc import Loader
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor

NO_COMPILER = 'none: sparse_rcnn_ext.portable_ops answers for mmcv._ext'

AVERAGE_POOLING = 1  # mmcv's code for pool_mode='avg'; 0 is 'max'


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Indices (int64) of the boxes that survive greedy NMS, highest score first.

    Args:
        boxes: (N, 4), xyxy in pixels.
        scores: (N,).
        iou_threshold: a box is dropped where its IoU with a better one is greater than this.
        offset: 1 where x2 and y2 are the last pixel of the box, else 0; a width is ``x2 - x1 + offset``.
    """
    if offset:
        boxes = boxes + boxes.new_tensor([0, 0, offset, offset])
    return torchvision.ops.nms(boxes, scores, iou_threshold)


def roi_align_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Fill ``output`` (K, C, aligned_height, aligned_width) with the RoIs pooled from ``input`` (B, C, H, W).

    Args:
        rois: (K, 5), index of the image and xyxy in pixels of the image.
        argmax_y: unused, for maximum pooling only; so is ``argmax_x``.
        spatial_scale: size of the feature map over the size of the image.
        sampling_ratio: points a bin and axis; 0 for as many as the bin is pixels wide.
        pool_mode: 1 for the average, the only mode of torchvision.
        aligned: whether pixel centres lie at half coordinates.

    Raises:
        RuntimeError: for maximum pooling.
    """
    _require_average_pooling(pool_mode)
    # The CPU kernels know no bfloat16, and mmcv passes whatever autocast produced.
    dtype = torch.promote_types(input.dtype, torch.float32)
    pooled = torchvision.ops.roi_align(
        input.to(dtype), rois.to(dtype), (aligned_height, aligned_width), spatial_scale, sampling_ratio, aligned
    )
    output.copy_(pooled)


def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Fill ``grad_input`` (B, C, H, W) with the gradient of :func:`roi_align_forward` for ``grad_output``."""
    _require_average_pooling(pool_mode)
    dtype = torch.promote_types(grad_output.dtype, torch.float32)
    # The operator that torchvision's own autograd calls; asking autograd instead would pool once more.
    grad = torch.ops.torchvision._roi_align_backward(
        grad_output.to(dtype),
        rois.to(dtype),
        spatial_scale,
        aligned_height,
        aligned_width,
        *grad_input.shape,
        sampling_ratio,
        aligned,
    )
    grad_input.copy_(grad)


def sigmoid_focal_loss_forward(
    input: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float, alpha: float
) -> None:
    """Fill ``output`` (N, classes) with the focal loss of every logit.

    Args:
        input: (N, classes) logits.
        target: (N,) int64, the class of each row; ``classes`` stands for the background.
        weight: (classes,) factor of the rows of each class, or empty.
    """
    output.copy_(_focal_loss(input.detach(), target, weight, gamma, alpha))


def sigmoid_focal_loss_backward(
    input: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor, gamma: float, alpha: float
) -> None:
    """Fill ``grad_input`` (N, classes) with the derivative of each logit's focal loss by that logit."""
    with torch.enable_grad():
        logits = input.detach().requires_grad_()
        (grad,) = torch.autograd.grad(_focal_loss(logits, target, weight, gamma, alpha).sum(), logits)
    grad_input.copy_(grad)


class PortableOpsLoader(Loader):
    """Fills the module ``mmcv._ext``."""

    def exec_module(self, module: ModuleType) -> None:
        for operator in (
            nms,
            roi_align_forward,
            roi_align_backward,
            sigmoid_focal_loss_forward,
            sigmoid_focal_loss_backward,
        ):
            setattr(module, operator.__name__, operator)
        # mmcv prints these in its report of the environment.
        module.get_compiler_version = lambda: NO_COMPILER
        module.get_compiling_cuda_version = lambda: NO_COMPILER
        # mmcv.ops asks for a hundred operators by name when it is imported; each must exist, none need work.
        module.__getattr__ = _missing_operator


def _missing_operator(name: str) -> Callable[..., Any]:
    if name.startswith('_'):
        raise AttributeError(f"module 'mmcv._ext' has no attribute {name!r}")

    def raise_missing(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError(_missing_message(f'The operator {name!r}'))

    raise_missing.__name__ = name
    return raise_missing


def _missing_message(what: str) -> str:
    try:
        release = f'onedl-mmcv=={version("onedl-mmcv")}'
    except PackageNotFoundError:
        release = f'mmcv=={sys.modules["mmcv"].__version__}'
    # mmcv compiles its operators only where its build sees torch, and pip's cache holds the build without them.
    return (
        f'{what} needs the compiled build of mmcv, which is not installed here: with a C++ compiler, and the CUDA '
        'toolkit for a GPU, run `pip install "setuptools>=80,<82" wheel ninja && pip install --no-cache-dir '
        f'--force-reinstall --no-deps --no-build-isolation --no-binary :all: {release}`.'
    )


def _require_average_pooling(pool_mode: int) -> None:
    if pool_mode != AVERAGE_POOLING:
        raise RuntimeError(_missing_message("RoIAlign with pool_mode='max'"))


def _focal_loss(logits: Tensor, target: Tensor, weight: Tensor, gamma: float, alpha: float) -> Tensor:
    num_classes = logits.size(1)
    one_hot = F.one_hot(target, num_classes + 1)[:, :num_classes].to(logits.dtype)  # (N, classes)
    loss = torchvision.ops.sigmoid_focal_loss(logits, one_hot, alpha=alpha, gamma=gamma)
    if weight.numel():
        loss = loss * torch.cat([weight, weight.new_ones(1)])[target][:, None]
    return loss
