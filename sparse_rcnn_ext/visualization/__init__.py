"""Pictures of what a detector does; no display is needed."""

from .detections import draw_detections
from .run_pictures import draw_run
from .stages import StageTrace, draw_stages, trace_stages
from .training_images import draw_training_images

__all__ = ['StageTrace', 'draw_detections', 'draw_run', 'draw_stages', 'draw_training_images', 'trace_stages']
