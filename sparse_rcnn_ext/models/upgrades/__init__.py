"""Parts beyond the original model; configs/sparse_rcnn/upgrades swaps them in, docs/upgrades.md says what they gain."""

from .box_denoising import BoxDenoising
from .iou_class_losses import MatchabilityAwareLoss, PositionSupervisedLoss
from .positioned_self_attention import PositionedSelfAttention
from .query_generator import QueryGenerator
from .recursive_roi_head import RecursiveSparseRoIHead

__all__ = [
    'BoxDenoising',
    'MatchabilityAwareLoss',
    'PositionSupervisedLoss',
    'PositionedSelfAttention',
    'QueryGenerator',
    'RecursiveSparseRoIHead',
]
