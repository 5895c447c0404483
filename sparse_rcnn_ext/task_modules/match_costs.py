"""What it costs to give a ground truth to a proposal.

Every cost is called alike and in batch:

    cost(logits, boxes, targets)

with logits (S, B, N, K) and boxes (S, B, N, 4) in xyxy pixels, in at least float32, and the padded targets of the
batch.
It returns (S, B, N, G); columns of padding hold numbers without meaning.
"""

import torch
from mmdet.structures.bbox import bbox_overlaps
from torch import Tensor

from sparse_rcnn_ext.models.box_penalties import FARTHEST, aspect_penalty, distance_penalty
from sparse_rcnn_ext.models.targets import Targets
from sparse_rcnn_ext.registry import TASK_UTILS
from sparse_rcnn_ext.task_modules.pairwise_giou import pairwise_giou


@TASK_UTILS.register_module()
class FocalLossCost:
    """Focal loss of calling a proposal the ground truth's class, less that of calling it background.

    The class cost of Deformable DETR (https://arxiv.org/abs/2010.04159) with the focal loss of
    https://arxiv.org/abs/1708.02002, from logits: −log p = softplus(−x) cannot overflow and needs no epsilon.

    Args:
        weight: Weight of this cost.
        alpha: Balance of foreground against background.
        gamma: How much sure answers count less.
    """

    def __init__(self, weight: float = 2.0, alpha: float = 0.25, gamma: float = 2.0) -> None:
        self.weight = weight
        self.alpha = alpha
        self.gamma = gamma

    def __call__(self, logits: Tensor, boxes: Tensor, targets: Targets) -> Tensor:
        """See the module's text."""
        index = targets.labels[:, None].expand(*logits.shape[:-1], -1)  # (S, B, N, G)
        logits = logits.gather(-1, index)
        prob = logits.sigmoid()
        # softplus(x) = max(x, 0) + log(1 + exp(−|x|)). The logarithm is that of both terms, and torch's own softplus
        # takes twenty times as long on a CPU for a rounding error of 1e-7 less.
        shared = logits.abs().neg_().exp_().add_(1).log_()
        foreground = ((1 - prob) ** self.gamma).mul_(self.alpha).mul_((-logits).clamp_(min=0).add_(shared))
        background = (prob**self.gamma).mul_(1 - self.alpha).mul_(logits.clamp(min=0).add_(shared))
        return foreground.sub_(background).mul_(self.weight)


@TASK_UTILS.register_module()
class BBoxL1Cost:
    """L1 distance of the corners, in units of the image's width and height.

    Args:
        weight: Weight of this cost.
    """

    def __init__(self, weight: float = 5.0) -> None:
        self.weight = weight

    def __call__(self, logits: Tensor, boxes: Tensor, targets: Targets) -> Tensor:
        """See the module's text."""
        scale = targets.image_whwh[:, None]
        return self.weight * torch.cdist(boxes / scale, (targets.boxes / scale).to(boxes), p=1)


@TASK_UTILS.register_module()
class IoUCost:
    """Negative overlap of the boxes.

    Args:
        iou_mode: 'iou', 'giou' (https://arxiv.org/abs/1902.09630), 'diou' or 'ciou' (https://arxiv.org/abs/1911.08287).
        weight: Weight of this cost.
    """

    def __init__(self, iou_mode: str = 'giou', weight: float = 2.0) -> None:
        if iou_mode not in ('iou', 'giou', 'diou', 'ciou'):
            raise ValueError(f"IoUCost: iou_mode is {iou_mode!r}; set it to 'iou', 'giou', 'diou' or 'ciou'.")
        self.iou_mode = iou_mode
        self.weight = weight

    def __call__(self, logits: Tensor, boxes: Tensor, targets: Targets) -> Tensor:
        """See the module's text."""
        boxes = boxes.clamp(-FARTHEST, FARTHEST)  # NaN stays NaN.
        target_boxes = targets.boxes.to(boxes)
        if self.iou_mode == 'giou':
            return pairwise_giou(boxes, target_boxes).mul_(-self.weight)
        target_boxes = target_boxes.expand(len(boxes), -1, -1, -1)
        overlap = iou = bbox_overlaps(boxes, target_boxes)
        boxes, target_boxes = boxes[..., :, None, :], target_boxes[..., None, :, :]  # (S, B, N, 1, 4), (S, B, 1, G, 4)
        if self.iou_mode in ('diou', 'ciou'):
            overlap = overlap - distance_penalty(boxes, target_boxes)
        if self.iou_mode == 'ciou':
            overlap = overlap - aspect_penalty(boxes, target_boxes, iou)
        return -self.weight * overlap
