"""Class losses that want as high a score as the box is good."""

import torch
from mmengine.model import BaseModule
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from sparse_rcnn_ext.registry import MODELS


class IoUClassLoss(BaseModule):
    """Weighted binary cross-entropy between each class's score p and a target made from the IoU of the matched box.

    It takes the place of ``loss_cls`` of :class:`SparseRCNNCriterion`. Neither target nor weight takes a gradient.

    Args:
        gamma: Exponent.
        loss_weight: Weight of the loss.
    """

    target_is_iou = True
    """Tells the criterion to give the IoU of matched boxes."""

    def __init__(self, gamma: float, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.gamma = gamma
        self.loss_weight = loss_weight

    def forward(self, logits: Tensor, iou: Tensor, reduction_override: str = 'none') -> Tensor:
        """The loss of every entry.

        Args:
            logits: (..., K).
            iou: (..., K) IoU of the box at the class of its ground truth, over 0; 0 for every other class.
            reduction_override: 'none' is all there is.

        Returns:
            (..., K).
        """
        target, weight = self.target_and_weight(logits.detach().sigmoid(), iou.detach())
        return self.loss_weight * weight * binary_cross_entropy_with_logits(logits, target, reduction='none')

    def target_and_weight(self, prob: Tensor, iou: Tensor) -> tuple[Tensor, Tensor]:
        """What the scores ``prob`` should be and how much that counts, (..., K) each."""
        raise NotImplementedError


@MODELS.register_module()
class MatchabilityAwareLoss(IoUClassLoss):
    """MAL of DEIM (https://arxiv.org/abs/2412.04234), equation 3: matched entries want IoU^γ and have the weight 1.

    Unmatched ones want 0 and have the weight p^γ. DEIM's weight of this loss beside L1 5 and GIoU 2 is 1.

    Args:
        gamma: The exponent γ.
        loss_weight: Weight of the loss.
    """

    def __init__(self, gamma: float = 1.5, loss_weight: float = 1.0) -> None:
        super().__init__(gamma, loss_weight)

    def target_and_weight(self, prob: Tensor, iou: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        weight = prob**self.gamma
        return iou**self.gamma, weight.masked_fill(iou > 0, 1.0)


@MODELS.register_module()
class PositionSupervisedLoss(IoUClassLoss):
    """Loss of Stable-DINO (https://arxiv.org/abs/2304.04742), equation 5: matched entries want IoU², others 0.

    Every entry's weight is the distance |target − p|^γ, times α where it is matched and 1 − α elsewhere, as in the
    authors' code, whose weight of this loss beside L1 5 and GIoU 2 is 6. That code also stretches the targets of an
    image until the greatest is 1; equation 5 does not, and this follows the equation.

    Args:
        gamma: The exponent γ.
        loss_weight: Weight of the loss.
        alpha: Balance of foreground against background (α).
    """

    def __init__(self, gamma: float = 2.0, loss_weight: float = 1.0, alpha: float = 0.25) -> None:
        super().__init__(gamma, loss_weight)
        self.alpha = alpha

    def target_and_weight(self, prob: Tensor, iou: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        target = iou.square()
        balance = torch.where(iou > 0, self.alpha, 1 - self.alpha).to(prob)
        return target, balance * (target - prob).abs() ** self.gamma
