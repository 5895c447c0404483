"""Data sets and transforms that mmdet lacks."""

from .coco_dataset import CocoDataset
from .image_pool import ImagePool, PoolsImages
