"""Detectors as files that run without this repository's stack.

What is imported here, the runtime and what is known of the formats, needs numpy and onnxruntime (or openvino); writing
such files needs the whole stack and ``requirements/deploy.txt``, see ``tools/deploy/export.py``; for LiteRT's also
``requirements/tflite.txt``.
"""

import importlib
from collections.abc import Iterable

from sparse_rcnn_ext.engine.errors import UserError

from .runtime import Detections, Detector

__all__ = ['ENDINGS', 'PACKAGES', 'RUNTIMES', 'Detections', 'Detector', 'require_packages']

ENDINGS = dict(onnx='.onnx', openvino='.xml', torchscript='.torchscript', tflite='.tflite')
CONVERTER = 'litert_torch'
"""Of the last of these: it has an environment of its own, ``make tflite``."""
PACKAGES = dict(
    onnx=('onnx', 'onnxscript'), openvino=('onnx', 'onnxscript', 'openvino'), torchscript=(), tflite=(CONVERTER,)
)
"""That writing a format needs."""
RUNTIMES = dict(onnx=('onnxruntime',), openvino=('openvino',), torchscript=(), tflite=('ai_edge_litert',))
"""That running it needs."""


def require_packages(names: Iterable[str]) -> None:
    """Raise UserError where one of these packages cannot be imported."""
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError as error:
            advice = 'pip install -r requirements/deploy.txt'
            if name == CONVERTER:
                advice = 'make tflite, and then use .venv/tflite/bin/python for this command'
            raise UserError(f'{error}: {advice}') from error
