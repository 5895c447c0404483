"""Complete IoU loss, and what DIoU and CIoU take off the IoU: terms that pull also boxes that do not overlap.

Boxes are xyxy in pixels, (..., 4); the leading dimensions of both arguments broadcast. Boxes without area are fine.
"""

import math

import torch
from mmdet.models.losses.utils import weighted_loss
from mmdet.structures.bbox import bbox_overlaps
from torch import Tensor, nn

from sparse_rcnn_ext.registry import MODELS

FARTHEST = 1e9
"""Pixels; areas of boxes beyond are too much for float32."""


def distance_penalty(a: Tensor, b: Tensor) -> Tensor:
    """Squared distance of the centres in units of the enclosing box's diagonal, in [0, 1]; 0 for one and the same box.

    The penalty of DIoU (https://arxiv.org/abs/1911.08287).
    """
    offset = (a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]) / 2
    enclosing = torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])
    return offset.square().sum(-1) / enclosing.square().sum(-1).clamp(min=1e-6)


def aspect_penalty(a: Tensor, b: Tensor, iou: Tensor) -> Tensor:
    """Difference in aspect, the more so the better the boxes overlap: the term αv of CIoU, in [0, 1].

    As first published (https://arxiv.org/abs/1911.08287): v compares the angles of the diagonals, and
    α = v / (1 − IoU + v) is a weight, which takes no gradient.

    Args:
        a: Boxes.
        b: Boxes.
        iou: IoU of both.
    """
    # Of two arguments, because a quotient is NaN for a box without area.
    angle = torch.atan2(a[..., 2] - a[..., 0], a[..., 3] - a[..., 1])
    other = torch.atan2(b[..., 2] - b[..., 0], b[..., 3] - b[..., 1])
    v = 4 / math.pi**2 * (angle - other).square()
    with torch.no_grad():
        # Both terms are 0 for a perfect box.
        alpha = v / (1 - iou + v).clamp(min=1e-7)
    return alpha * v


@weighted_loss
def ciou_loss(pred: Tensor, target: Tensor) -> Tensor:
    """One less CIoU (https://arxiv.org/abs/1911.08287): (n, 4) xyxy pixels each to (n,) in [0, 3]."""
    iou = bbox_overlaps(pred, target, is_aligned=True)
    return 1 - iou + distance_penalty(pred, target) + aspect_penalty(pred, target, iou)


@MODELS.register_module()
class CIoULoss(nn.Module):
    """CIoU loss with the interface of mmdet's, which is NaN in float32 where a box equals its target.

    Args:
        reduction: 'none', 'mean' or 'sum'.
        loss_weight: Weight of the loss.
    """

    def __init__(self, reduction: str = 'mean', loss_weight: float = 1.0) -> None:
        super().__init__()
        self.reduction = reduction
        self.loss_weight = loss_weight

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | None = None,
        reduction_override: str | None = None,
    ) -> Tensor:
        """Weighted loss of ``n`` pairs of boxes.

        Args:
            pred: (n, 4) xyxy in pixels.
            target: (n, 4) xyxy in pixels.
            weight: (n,) weights of the pairs.
            avg_factor: What to divide the sum by under the reduction 'mean'; None: n.
            reduction_override: Takes the place of ``reduction``.
        """
        reduction = reduction_override or self.reduction
        return self.loss_weight * ciou_loss(pred, target, weight, reduction=reduction, avg_factor=avg_factor)
