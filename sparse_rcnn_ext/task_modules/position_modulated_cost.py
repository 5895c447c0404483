"""Class cost of the matching that a badly placed box cannot make good by its score."""

from torch import Tensor

from sparse_rcnn_ext.models.box_penalties import FARTHEST
from sparse_rcnn_ext.models.targets import Targets
from sparse_rcnn_ext.registry import TASK_UTILS

from .match_costs import pairwise_giou


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
