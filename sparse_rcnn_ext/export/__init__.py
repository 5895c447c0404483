"""Detectors as files that run without this repository's stack.

What is imported here, the runtime and what is known of the formats, needs numpy and onnxruntime (or openvino); writing
such files needs the whole stack and ``requirements/deploy.txt``, see ``tools/deploy/export.py``; for LiteRT's also
``requirements/tflite.txt``.
"""

import importlib
from collections.abc import Iterable
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, NamedTuple

from sparse_rcnn_ext.errors import UserError

from .runtime import Detections, Detector

__all__ = ['FORMATS', 'Detections', 'Detector', 'Format', 'require_packages']

CONVERTER = 'litert_torch'
"""LiteRT's has an environment of its own, ``make tflite``."""


class Format(NamedTuple):
    """What a detector can be written as."""

    ending: str
    writer: str
    """``module:function`` of (graph, metadata, file), see :func:`sparse_rcnn_ext.export.files.write_onnx`."""
    packages: tuple[str, ...] = ()
    """That writing needs."""
    runtimes: tuple[str, ...] = ()
    """That running needs."""

    def write(self, graph: Any, metadata: dict[str, Any], out: Path) -> None:
        """Write a file of this format, of a ``DetectionGraph``."""
        resolve_name(self.writer)(graph, metadata, out)


_FILES = f'{__name__}.files'
FORMATS = dict(
    onnx=Format('.onnx', f'{_FILES}:write_onnx', ('onnx', 'onnxscript'), ('onnxruntime',)),
    openvino=Format('.xml', f'{_FILES}:write_openvino', ('onnx', 'onnxscript', 'openvino'), ('openvino',)),
    torchscript=Format('.torchscript', f'{_FILES}:write_torchscript'),
    tflite=Format('.tflite', f'{_FILES}:write_tflite', (CONVERTER,), ('ai_edge_litert',)),
)


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
