"""Complete IoU loss."""

from mmdet.models.losses.utils import weighted_loss
from mmdet.structures.bbox import bbox_overlaps
from torch import Tensor, nn

from sparse_rcnn_ext.models.box_penalties import aspect_penalty, distance_penalty
from sparse_rcnn_ext.registry import MODELS


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
