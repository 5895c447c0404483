"""Class cost of the matching where the classes exclude each other."""

from torch import Tensor

from sparse_rcnn_ext.models.targets import Targets
from sparse_rcnn_ext.registry import TASK_UTILS


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
