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

from sparse_rcnn_ext.models.ciou_loss import FARTHEST, aspect_penalty, distance_penalty
from sparse_rcnn_ext.models.targets import Targets
from sparse_rcnn_ext.registry import TASK_UTILS


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


# What mmdet's bbox_overlaps takes, so that equal boxes have equal costs.
SMALLEST_AREA = 1e-6


def pairwise_giou(boxes: Tensor, others: Tensor) -> Tensor:
    """Generalized IoU (https://arxiv.org/abs/1902.09630) of every pair, in [-1, 1].

    Works on one coordinate at a time and in place, since memory traffic is all that it costs: a third of the time that
    mmdet's ``bbox_overlaps`` takes for the same numbers. Gives no gradient.

    Args:
        boxes: (..., N, 4) xyxy pixels.
        others: (..., G, 4) xyxy pixels; the leading dimensions broadcast.

    Returns:
        (..., N, G)
    """
    boxes, others = boxes.detach(), others.detach()
    x1, y1, x2, y2 = (corner[..., :, None] for corner in boxes.unbind(-1))  # (..., N, 1)
    other_x1, other_y1, other_x2, other_y2 = (corner[..., None, :] for corner in others.unbind(-1))  # (..., 1, G)
    width, height, other_width, other_height = x2 - x1, y2 - y1, other_x2 - other_x1, other_y2 - other_y1

    common_width = torch.minimum(x2, other_x2).sub_(torch.maximum(x1, other_x1))
    common_height = torch.minimum(y2, other_y2).sub_(torch.maximum(y1, other_y1))
    # The larger end less the smaller start is what both measure together, less what they share.
    enclosing = (width + other_width).sub_(common_width).clamp_(min=0)
    enclosing.mul_((height + other_height).sub_(common_height).clamp_(min=0)).clamp_(min=SMALLEST_AREA)

    common = common_width.clamp_(min=0).mul_(common_height.clamp_(min=0))
    union = (width * height + other_width * other_height).sub_(common).clamp_(min=SMALLEST_AREA)
    return common.div_(union).add_(union.div_(enclosing)).sub_(1)


@TASK_UTILS.register_module()
class SoftmaxCost:
    """Negative probability of the ground truth's class, by the softmax over all classes and "no object".

    DETR (https://arxiv.org/abs/2005.12872), section 3.1.

    Args:
        weight: Weight of this cost.
    """

    def __init__(self, weight: float = 2.0) -> None:
        self.weight = weight

    def __call__(self, logits: Tensor, boxes: Tensor, targets: Targets) -> Tensor:
        """As every cost of ``match_costs``, with logits (S, B, N, K + 1)."""
        index = targets.labels[:, None].expand(*logits.shape[:-1], -1)  # (S, B, N, G)
        return -self.weight * logits.softmax(-1).gather(-1, index)


@TASK_UTILS.register_module()
class PositionModulatedCost:
    """The focal cost of a score that is multiplied by the power ``beta`` of GIoU, rescaled to 0 … 1.

    Stable-DINO (https://arxiv.org/abs/2304.04742), section 3.3. It stands in the place of ``FocalLossCost``.

    Args:
        weight: Weight of this cost.
        alpha: Balance of foreground against background.
        gamma: How much sure answers count less.
        beta: How much the place counts.
        eps: Added within the logarithms.
    """

    def __init__(
        self, weight: float = 2.0, alpha: float = 0.25, gamma: float = 2.0, beta: float = 0.5, eps: float = 1e-8
    ) -> None:
        self.weight = weight
        self.alpha = alpha
        self.gamma = gamma
        self.beta = beta
        self.eps = eps

    def __call__(self, logits: Tensor, boxes: Tensor, targets: Targets) -> Tensor:
        """As every cost of ``match_costs``."""
        index = targets.labels[:, None].expand(*logits.shape[:-1], -1)  # (S, B, N, G)
        giou = pairwise_giou(boxes.clamp(-FARTHEST, FARTHEST), targets.boxes.to(boxes))
        # The GIoU of a box that is upside down has no bounds.
        prob = logits.gather(-1, index).sigmoid() * ((giou + 1) / 2).clamp(0, 1) ** self.beta
        foreground = self.alpha * (1 - prob) ** self.gamma * -(prob + self.eps).log()
        background = (1 - self.alpha) * prob**self.gamma * -(1 - prob + self.eps).log()
        return self.weight * (foreground - background)
