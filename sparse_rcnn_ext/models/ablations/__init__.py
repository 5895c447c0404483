"""Parts of which nothing but the ablations of the paper is made; configs/sparse_rcnn/ablations swaps them in."""

from ..upgrades.recursive_roi_head import SharedSparseRoIHead
from .last_stage_criterion import LastStageCriterion
from .no_reuse import DIIHeadWithoutReuse
from .no_self_attention import NoSelfAttention
from .position_encoding import PositionedRPNHead
from .roi_attention import RoIAttention
from .roi_fully_connected import RoIFullyConnected
from .softmax import NoObjectCrossEntropy, SoftmaxCriterion, SoftmaxDIIHead

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
