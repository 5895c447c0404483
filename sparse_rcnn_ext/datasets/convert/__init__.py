"""Pascal VOC, YOLO and CrowdHuman annotations to COCO's JSON."""

from .crowdhuman import convert_crowdhuman
from .output import write_splits
from .voc import convert_voc
from .yolo import convert_yolo

__all__ = ['convert_crowdhuman', 'convert_voc', 'convert_yolo', 'write_splits']
