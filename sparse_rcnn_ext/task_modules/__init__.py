"""Matching of proposals and ground truth, and where the proposals start."""

from .hungarian_assigner import HungarianAssigner
from .match_costs import BBoxL1Cost, FocalLossCost, IoUCost
from .proposal_boxes import GridBoxes, ImageBoxes

__all__ = ['BBoxL1Cost', 'FocalLossCost', 'GridBoxes', 'HungarianAssigner', 'ImageBoxes', 'IoUCost']
