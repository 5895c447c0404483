"""The formats in which a detector can be written, and what each needs. What is imported here keeps --help waiting."""

import importlib
from collections.abc import Iterable

from sparse_rcnn_ext.engine.errors import UserError

ENDINGS = dict(onnx='.onnx', openvino='.xml', torchscript='.torchscript')
PACKAGES = dict(onnx=('onnx', 'onnxscript'), openvino=('onnx', 'onnxscript', 'openvino'), torchscript=())
RUNTIMES = dict(onnx=('onnxruntime',), openvino=('openvino',), torchscript=())


def require_packages(names: Iterable[str]) -> None:
    """Raise UserError where one of these packages cannot be imported."""
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise UserError(f'{error}: pip install -r requirements/deploy.txt') from error
