"""What runs an exported file, by its ending; each runtime is imported when a file needs it."""

import json
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np

Run = Callable[[np.ndarray, np.ndarray], list[np.ndarray]]
"""Pixels (B, 3, H, W) and sizes (B, 2) to boxes (B, D, 4), scores (B, D) and labels (B, D)."""

KEY = 'sparse_rcnn'
"""Under which the metadata stand, as one text of JSON, in openvino's and torch's files; ONNX has a text for each."""

Providers = Sequence[str | tuple[str, dict[str, Any]]]
"""Of onnxruntime: names, or names with options, the preferred one first."""

NAMES = (
    *('classes', 'stages', 'proposals', 'top_k', 'precision', 'size', 'resize', 'pad', 'pad_divisor'),
    *('channel_order', 'mean', 'std'),
)
"""Of the metadata. Other tools leave theirs beside them in ONNX files."""

LATER_NAMES = ('clip_boxes',)
"""Which files that were written before do not have."""


def open_session(path: Path, threads: int | None, providers: Providers | None) -> tuple[Run, dict[str, Any]]:
    """Open a file.

    Args:
        path: Ends in .onnx, .xml or .torchscript.
        threads: CPU threads to use; None leaves it to the runtime.
        providers: For a .onnx; None is the CPU.

    Returns:
        What runs it, and its metadata, those of :data:`NAMES` and, where there, of :data:`LATER_NAMES`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is broken, or was not written by ``tools/deploy/export.py``, or providers are given that
            onnxruntime lacks or for a file that it does not run.
    """
    open_onnx = partial(_open_onnx, providers=['CPUExecutionProvider'] if providers is None else providers)
    openers = {'.onnx': open_onnx, '.xml': _open_openvino, '.torchscript': _open_torchscript}
    if path.suffix not in openers:
        raise ValueError(f'{path} ends in none of {", ".join(openers)}: give a file of tools/deploy/export.py')
    if not path.is_file():
        raise FileNotFoundError(f'no file {path}')
    if providers is not None:
        _check_providers(path, providers)
    try:
        run, metadata = openers[path.suffix](path, threads)
    except ImportError:
        raise
    except Exception as error:  # each runtime has errors of its own for a file that is broken or none of its format
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f'{path} cannot be opened ({reason}): give a file of tools/deploy/export.py') from error
    if 'classes' not in metadata:
        raise ValueError(f'{path} has no metadata: give a file of tools/deploy/export.py')
    missing = [name for name in NAMES if name not in metadata]
    if missing:
        raise ValueError(f'{path} has no {", ".join(missing)} in its metadata: give a file of tools/deploy/export.py')
    return run, {name: metadata[name] for name in (*NAMES, *LATER_NAMES) if name in metadata}


def _check_providers(path: Path, providers: Providers) -> None:
    if path.suffix != '.onnx':
        raise ValueError(f'{path} is not run by onnxruntime, which providers are of: give a .onnx, or no providers')
    import onnxruntime

    if isinstance(providers, str):
        raise ValueError(f'providers is {providers!r}: give a list, [{providers!r}]')
    there = onnxruntime.get_available_providers()
    names = [provider if isinstance(provider, str) else provider[0] for provider in providers]
    missing = [name for name in names if name not in there]
    if missing:
        raise ValueError(f'this onnxruntime has no {", ".join(missing)}: give providers of {", ".join(there)}')


def _open_onnx(path: Path, threads: int | None, providers: Providers) -> tuple[Run, dict[str, Any]]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = 3  # errors; warnings are of half precision on CPUs
    session = onnxruntime.InferenceSession(str(path), options, providers=list(providers))

    def run(pixels: np.ndarray, sizes: np.ndarray) -> list[np.ndarray]:
        return session.run(None, {'images': pixels, 'sizes': sizes})

    texts = session.get_modelmeta().custom_metadata_map
    return run, {name: json.loads(texts[name]) for name in (*NAMES, *LATER_NAMES) if name in texts}


def _open_openvino(path: Path, threads: int | None) -> tuple[Run, dict[str, Any]]:
    core = _openvino_core()
    model = core.read_model(path)
    # Left to itself it computes in bfloat16 on CPUs that have it, and detections move.
    settings = dict(INFERENCE_PRECISION_HINT='f32') | (dict(INFERENCE_NUM_THREADS=threads) if threads else {})
    compiled = core.compile_model(model, 'CPU', settings)
    # A compiled model called as a function has one request for all threads, and gives some the results of others.
    idle: SimpleQueue = SimpleQueue()

    def run(pixels: np.ndarray, sizes: np.ndarray) -> list[np.ndarray]:
        try:
            request = idle.get_nowait()
        except Empty:
            request = compiled.create_infer_request()
        try:
            return list(request.infer(dict(images=pixels, sizes=sizes), share_inputs=True).to_tuple())
        finally:
            idle.put(request)

    return run, json.loads(model.get_rt_info([KEY]).value) if model.has_rt_info([KEY]) else {}


@cache
def _openvino_core() -> Any:
    """One for the process: those that go in another order than they came take the signal stack of the thread along, and
    the next Ctrl-C ends Python by a segmentation fault (OpenVINO 2026.4)."""
    import openvino

    return openvino.Core()


def _open_torchscript(path: Path, threads: int | None) -> tuple[Run, dict[str, Any]]:
    import torch

    if threads:
        torch.set_num_threads(threads)
    files = {KEY: ''}
    network = torch.jit.load(path, map_location='cpu', _extra_files=files)

    def run(pixels: np.ndarray, sizes: np.ndarray) -> list[np.ndarray]:
        with torch.no_grad():
            return [output.numpy() for output in network(torch.from_numpy(pixels), torch.from_numpy(sizes))]

    return run, json.loads(files[KEY] or '{}')
