"""Metrics that mmdet lacks or has in part."""

from .coco_metric import CocoMetric, judge_what_runs
from .crowdhuman_metric import CrowdHumanMetric
