"""Metrics that mmdet lacks or has in part."""

from .coco_metric import CocoMetric
from .crowdhuman_metric import CrowdHumanMetric
