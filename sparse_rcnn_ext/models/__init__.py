"""The model, read in the order in which data flows."""

from . import backbones, necks
from .ciou_loss import CIoULoss
from .criterion import SparseRCNNCriterion
from .dii_head import DIIHead
from .dynamic_conv import DynamicConv
from .embedding_rpn_head import EmbeddingRPNHead
from .proposal_boxes import GridBoxes, ImageBoxes
from .roi_features import RoIFeatures
from .sparse_rcnn import SparseRCNN
from .sparse_roi_head import SparseRoIHead

__all__ = [
    'CIoULoss',
    'DIIHead',
    'DynamicConv',
    'EmbeddingRPNHead',
    'GridBoxes',
    'ImageBoxes',
    'RoIFeatures',
    'SparseRCNN',
    'SparseRCNNCriterion',
    'SparseRoIHead',
    'backbones',
    'necks',
]
