"""Run an exported detector: numpy and onnxruntime (or openvino) are all it imports.

Nothing here reaches outside of this folder, so it may be copied into another project as it is.
"""

from .detector import Detections, Detector

__all__ = ['Detections', 'Detector']
