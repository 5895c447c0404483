"""Detectors as files that run without this repository's stack.

What is imported here, the runtime and what is known of the formats, needs numpy and onnxruntime (or openvino); writing
such files needs the whole stack and ``requirements/deploy.txt``, see ``tools/deploy/export.py``.
"""

import importlib
from collections.abc import Iterable

from sparse_rcnn_ext.engine.errors import UserError

from .runtime import Detections, Detector

__all__ = ['ENDINGS', 'PACKAGES', 'RUNTIMES', 'Detections', 'Detector', 'require_packages']

ENDINGS = dict(onnx='.onnx', openvino='.xml', torchscript='.torchscript')
PACKAGES = dict(onnx=('onnx', 'onnxscript'), openvino=('onnx', 'onnxscript', 'openvino'), torchscript=())
"""That writing a format needs."""
RUNTIMES = dict(onnx=('onnxruntime',), openvino=('openvino',), torchscript=())
"""That running it needs."""


def require_packages(names: Iterable[str]) -> None:
    """Raise UserError where one of these packages cannot be imported."""
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise UserError(f'{error}: pip install -r requirements/deploy.txt') from error
