"""Matching of proposals and ground truth."""

from .hungarian_assigner import HungarianAssigner
from .match_costs import BBoxL1Cost, FocalLossCost, IoUCost, PositionModulatedCost, SoftmaxCost
from .one_to_many_assigner import OneToManyAssigner

__all__ = [
    'BBoxL1Cost',
    'FocalLossCost',
    'HungarianAssigner',
    'IoUCost',
    'OneToManyAssigner',
    'PositionModulatedCost',
    'SoftmaxCost',
]
