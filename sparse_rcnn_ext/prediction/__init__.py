"""Detections in images, videos and webcams: tools/predict.py."""

from .coco_files import AnnotationIds, CocoFiles, CocoIds
from .exported import ExportedPredictor
from .image_file import UnreadableError, read_image
from .picture_files import PictureFiles, draw_detections
from .pipeline import InferencePipeline, LoadedImage
from .predictor import Predictor
from .run import Detector, Sink, Summary, predict_all
from .sources import Source, find_sources

__all__ = [
    'AnnotationIds',
    'CocoFiles',
    'CocoIds',
    'Detector',
    'ExportedPredictor',
    'InferencePipeline',
    'LoadedImage',
    'PictureFiles',
    'Predictor',
    'Sink',
    'Source',
    'Summary',
    'UnreadableError',
    'draw_detections',
    'find_sources',
    'predict_all',
    'read_image',
]
