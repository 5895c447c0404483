"""Which losses can work in the criterion: told by a trial when they are built, whatever package they are of.

A loss of labels, of softmax or of masks has the same signature as one that works, and would end in a traceback at the
first iteration, or teach nothing without a word.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy

import torch
from mmdet.registry import MODELS
from torch import Tensor
from torch.nn import Module

from sparse_rcnn_ext.errors import UserError

SETTING = 'model.criterion.'
CLASS_LOSSES = (
    'FocalLoss, CrossEntropyLoss with use_sigmoid=True, QualityFocalLoss or VarifocalLoss; '
    'softmax takes more, see configs/sparse_rcnn/ablations/softmax.py'
)
BOX_LOSSES = 'L1Loss, SmoothL1Loss, BalancedL1Loss or MSELoss'
IOU_LOSSES = 'GIoULoss, DIoULoss, sparse_rcnn_ext.CIoULoss, EIoULoss, SIoULoss, BoundedIoULoss or IoULoss'
# They are defined for the IoU of a matched box in place of 1.
_OF_IOU = ('QualityFocalLoss', 'VarifocalLoss')
# Boxes of the trial, xyxy pixels, and by how much of their size the guesses are off. For one that is a square, all
# coordinates may be off alike, which a softmax over them would not see.
_BOXES = ((20.0, 30.0, 60.0, 70.0), (5.0, 8.0, 45.0, 29.0))
_OFF = 0.15
_DIRECTIONS = ((1, 1, 1, 1), (1, 0, 1, 0), (0, 1, 0, 1), (1, 0, 0, 0), (0, 0, 0, 1), (-1, -1, 1, 1))


def build_class_loss(settings: dict, num_classes: int | None = None) -> tuple[Module, list[float] | None]:
    """Build the loss of the classes, which gets logits (R, K) and as many truths.

    Args:
        settings: Of the loss. Where its class takes no ``class_weight``, the criterion weighs the classes.
        num_classes: K; None where it is not known yet.

    Returns:
        The loss, and the weights that the criterion has to apply.

    Raises:
        UserError: If it cannot work.
    """
    settings = dict(settings)
    weights = settings.get('class_weight')
    if weights is not None:
        _check_weights(weights, num_classes)
        num_classes = len(weights)
    kind = settings.get('type')
    kind = MODELS.get(kind) if isinstance(kind, str) else kind
    ours = weights is not None and inspect.isclass(kind) and 'class_weight' not in inspect.signature(kind).parameters
    if ours:
        del settings['class_weight']
    loss = MODELS.build(settings)
    with _as_in_training():
        reason = _class_fault(loss, num_classes or 3, one_each=ours)
    if reason:
        raise _refusal('loss_cls', loss, reason, CLASS_LOSSES)
    return loss, list(weights) if ours else None


def wants_iou(loss: Module) -> bool:
    """Whether a class loss takes the IoU of each matched box in place of 1."""
    return getattr(loss, 'target_is_iou', type(loss).__name__ in _OF_IOU)


def build_box_loss(settings: dict) -> Module:
    """Build the loss of box coordinates (S, M, 4), of the same shape; raises UserError if it cannot work."""
    loss = MODELS.build(settings)
    # Some of them beyond the image, where a loss that clips its input would not move them.
    with _as_in_training():
        reason = _box_fault(loss, lambda boxes: boxes[None] / 50 - 1, each=True)
    if reason:
        raise _refusal('loss_bbox', loss, reason, BOX_LOSSES)
    return loss


def build_iou_loss(settings: dict) -> Module:
    """Build the loss of boxes (M, 4) in pixels, (M,) or (M, sides); raises UserError if it cannot work."""
    loss = MODELS.build(settings)
    with _as_in_training():
        reason = _box_fault(loss, lambda boxes: boxes, each=False) or _scale_fault(loss)
    if reason:
        raise _refusal('loss_iou', loss, reason, IOU_LOSSES)
    return loss


def _check_weights(weights: object, num_classes: int | None) -> None:
    if not isinstance(weights, (list, tuple)) or not all(type(one) in (int, float) and one >= 0 for one in weights):
        raise UserError(f'{SETTING}loss_cls.class_weight is {weights!r}: set it to a list, a number for each class')
    if num_classes is not None and len(weights) != num_classes:
        raise UserError(
            f'{SETTING}loss_cls.class_weight has {len(weights)} numbers for {num_classes} classes: '
            'set it to as many as model.roi_head.bbox_head.num_classes'
        )


def _refusal(setting: str, loss: Module, reason: str, others: str) -> UserError:
    return UserError(
        f'{SETTING}{setting} is {type(loss).__name__}, which cannot work there: {reason}: set its type to {others}'
    )


@contextmanager
def _as_in_training() -> Iterator[None]:
    """A model may be built without gradients, or as a mere shape."""
    with torch.inference_mode(False), torch.enable_grad(), torch.device('cpu'):
        yield


def _try(loss: Module, *inputs: Tensor) -> Tensor | str:
    """What a loss gives without a reduction, or the reason why it gives nothing that could be used."""
    try:
        trial = deepcopy(loss)  # some count what they have seen
        if getattr(trial, 'loss_weight', 1.0) == 0:
            trial.loss_weight = 1.0  # a loss may be switched off
        given = trial(*inputs, reduction_override='none')
    except Exception as error:
        return f'on a truth of shape {tuple(inputs[1].shape)} it ends in {type(error).__name__}'
    if not isinstance(given, Tensor):
        return f'it gives a {type(given).__name__} and no tensor'
    return given if given.isfinite().all() else 'it gives numbers that are not finite'


def _class_fault(loss: Module, num_classes: int, one_each: bool) -> str | None:
    """Why a loss cannot teach classes; None if it can."""
    sure = torch.tensor([-2.0, 2.0]).repeat(num_classes + 1)[:, None] * torch.ones(num_classes)
    logits = sure.requires_grad_()  # (2K + 2, K)
    # Two proposals of each class, two of none.
    one_hot = torch.eye(num_classes + 1)[:, :num_classes].repeat_interleave(2, 0)
    given = _try(loss, logits, one_hot)
    if isinstance(given, str):
        return given
    if given.shape != one_hot.shape and (one_each or given.shape != one_hot.shape[:1]):
        what = 'proposal and class' if one_each else 'proposal'
        return f'it gives {tuple(given.shape)} numbers and not one for each {what}'
    if not given.requires_grad:
        return 'nothing can be learned from it'
    (slope,) = torch.autograd.grad(given.sum(), logits)
    if not slope[-2:].gt(0).all():
        return 'it does not lower the scores of proposals without an object'
    return None if slope[one_hot > 0].lt(0).all() else 'it does not raise the score of the right class'


def _scale_fault(loss: Module) -> str | None:
    """Why a loss of boxes cannot be one of IoU: one of coordinates would count pixels, hundreds of them."""
    small, large = (_try(loss, *(scale * boxes for boxes in _trial_boxes())) for scale in (1.0, 8.0))
    if small.dim() > 1 and not torch.allclose(small, large, rtol=0.05, atol=0.05):
        return 'it differs for images of different sizes'
    return None


def _trial_boxes() -> tuple[Tensor, Tensor]:
    """Guesses (24, 4), in all directions off, and the truth."""
    truth = torch.tensor(_BOXES).repeat_interleave(len(_DIRECTIONS), 0)
    side = (truth[:, 2:] - truth[:, :2]).repeat(1, 2)
    off = _OFF * side * torch.tensor(_DIRECTIONS).repeat(len(_BOXES), 1)
    return torch.cat([truth + off, truth - off]), truth.repeat(2, 1)


def _box_fault(loss: Module, form: Callable[[Tensor], Tensor], each: bool) -> str | None:
    """Why a loss cannot teach boxes; None if it can."""
    guess, truth = map(form, _trial_boxes())
    off, exact = _try(loss, guess, truth), _try(loss, truth, truth)
    for given in (off, exact):
        if isinstance(given, str):
            return given
    if each and off.shape != guess.shape:
        return 'it does not give a number for each coordinate'
    if not each and off.shape[:1] != guess.shape[:1]:
        return 'it does not give a number for each box'
    rows = guess.shape[-2]
    if not (off.view(rows, -1).sum(1) > exact.view(rows, -1).sum(1)).all():
        return 'it is not least for the right box'
    return None
