"""Parts of which nothing but the ablations of the paper is made; configs/sparse_rcnn/ablations swaps them in."""

from ..upgrades.recursive_roi_head import SharedSparseRoIHead
from .criteria import LastStageCriterion, NoObjectCrossEntropy, SoftmaxCriterion, SoftmaxDIIHead
from .proposals import DIIHeadWithoutReuse, NoSelfAttention, PositionedRPNHead, RoIAttention, RoIFullyConnected

__all__ = [
    'DIIHeadWithoutReuse',
    'LastStageCriterion',
    'NoObjectCrossEntropy',
    'NoSelfAttention',
    'PositionedRPNHead',
    'RoIAttention',
    'RoIFullyConnected',
    'SharedSparseRoIHead',
    'SoftmaxCriterion',
    'SoftmaxDIIHead',
]
