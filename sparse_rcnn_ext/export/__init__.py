"""Detectors as files that run without this repository's stack.

What is imported here, the runtime, needs numpy and onnxruntime (or openvino); writing such files needs the whole stack
and ``requirements/deploy.txt``, see ``tools/deploy/export.py``.
"""

from .runtime import Detections, Detector

__all__ = ['Detections', 'Detector']
