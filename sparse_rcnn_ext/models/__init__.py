"""The model, read in the order in which data flows."""

from . import ablations, backbones, necks, upgrades
from .box_fusion_tta import BoxFusionTTA
from .ciou_loss import CIoULoss
from .criterion import SparseRCNNCriterion
from .dii_head import DIIHead, ProposalSelfAttention
from .dynamic_conv import DynamicConv
from .embedding_rpn_head import CenterBoxes, EmbeddingRPNHead, GridBoxes, ImageBoxes, RandomBoxes
from .roi_features import RoIFeatures
from .sparse_rcnn import SparseRCNN
from .sparse_roi_head import SparseRoIHead

__all__ = [
    'BoxFusionTTA',
    'CIoULoss',
    'CenterBoxes',
    'DIIHead',
    'DynamicConv',
    'EmbeddingRPNHead',
    'GridBoxes',
    'ImageBoxes',
    'ProposalSelfAttention',
    'RandomBoxes',
    'RoIFeatures',
    'SparseRCNN',
    'SparseRCNNCriterion',
    'SparseRoIHead',
    'ablations',
    'backbones',
    'necks',
    'upgrades',
]
