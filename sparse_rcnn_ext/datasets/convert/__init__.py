"""Pascal VOC, YOLO and CrowdHuman annotations to COCO's JSON."""

from .coco_json import write_splits
from .crowdhuman import convert_crowdhuman
from .voc import convert_voc
from .yolo import convert_yolo

__all__ = ['convert_crowdhuman', 'convert_voc', 'convert_yolo', 'write_splits']
