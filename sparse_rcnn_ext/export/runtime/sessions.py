"""What runs an exported file, by its ending; each runtime is imported when a file needs it."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, TypeVar
from zipfile import ZipFile, is_zipfile

import numpy as np

T = TypeVar('T')

Run = Callable[[np.ndarray, np.ndarray], list[np.ndarray]]
"""Pixels (B, 3, H, W) and sizes (B, 2) to boxes (B, D, 4), scores (B, D) and labels (B, D)."""

PRECISIONS = ('fp32', 'bf16')
"""In which openvino may compute; all others compute in that of the file."""

KEY = 'sparse_rcnn'
"""Under which the metadata stand, as one text of JSON, in all files but ONNX, which has a text for each."""

Providers = Sequence[str | tuple[str, dict[str, Any]]]
"""Of onnxruntime: names, or names with options, the preferred one first."""

NAMES = (
    *('classes', 'stages', 'proposals', 'top_k', 'precision', 'size', 'resize', 'pad', 'pad_divisor'),
    *('channel_order', 'mean', 'std'),
)
"""Of the metadata. Other tools leave theirs beside them in ONNX files."""

LATER_NAMES = ('clip_boxes',)
"""Which files that were written before do not have."""


class Session(NamedTuple):
    """An open file."""

    run: Run
    """What runs it, from any thread."""
    metadata: dict[str, Any]
    """Those of :data:`NAMES` and, where there, of :data:`LATER_NAMES`."""
    shape: tuple[int | None, ...]
    """Of its images, (B, 3, H, W); None where it is open, or not known."""


def open_session(
    path: Path, threads: int | None, providers: Providers | None = None, precision: str = PRECISIONS[0]
) -> Session:
    """Open a file.

    Args:
        path: Ends in .onnx, .xml, .torchscript or .tflite.
        threads: CPU threads to use; None leaves it to the runtime.
        providers: For a .onnx; None is the CPU.
        precision: One of :data:`PRECISIONS`; another than the first for a .xml only.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is broken, or was not written by ``tools/deploy/export.py``, or its size was fixed later
            to one that its images do not fit, or providers are given that onnxruntime lacks or for a file that it does
            not run, or a precision that the CPU lacks or for a file that openvino does not run.
    """
    open_onnx = partial(_open_onnx, providers=['CPUExecutionProvider'] if providers is None else providers)
    open_openvino = partial(_open_openvino, precision=precision)
    openers = {'.onnx': open_onnx, '.xml': open_openvino, '.torchscript': _open_torchscript, '.tflite': _open_tflite}
    if path.suffix not in openers:
        raise ValueError(f'{path} ends in none of {", ".join(openers)}: give a file of tools/deploy/export.py')
    if not path.is_file():
        raise FileNotFoundError(f'no file {path}')
    if providers is not None:
        _check_providers(path, providers)
    _check_precision(path, precision)
    try:
        run, metadata, shape = openers[path.suffix](path, threads)
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
    metadata = {name: metadata[name] for name in (*NAMES, *LATER_NAMES) if name in metadata}
    if metadata['size'] is None and None not in shape[2:]:
        metadata['size'] = list(shape[2:])
        _check_size(path, metadata)
    return Session(run, metadata, shape)


def _check_size(path: Path, metadata: dict[str, Any]) -> None:
    """That what other tools have fixed is what the network takes, and no smaller than what images are brought to."""
    size, pad, resize, divisor = (metadata[name] for name in ('size', 'pad', 'resize', 'pad_divisor'))
    least = pad['size'] if pad else [divisor] * 2 if resize['keep_ratio'] else resize['scale']
    if any(given < needed or given % divisor for given, needed in zip(size, least, strict=True)):
        raise ValueError(
            f'{path} was fixed at images of {size[0]} × {size[1]}: fix it at multiples of {divisor} of at least '
            f'{least[0]} × {least[1]}, or export it without --dynamic'
        )


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


def _check_precision(path: Path, precision: str) -> None:
    if precision not in PRECISIONS:
        raise ValueError(f'precision is {precision!r}: give one of {", ".join(PRECISIONS)}')
    if precision == PRECISIONS[0]:
        return
    if path.suffix != '.xml':
        raise ValueError(f'{path} is not run by openvino, which has {precision}: give a .xml, or no precision')
    if precision.upper() not in _openvino_core().get_property('CPU', 'OPTIMIZATION_CAPABILITIES'):
        raise ValueError(f'this CPU does not compute in {precision}: give no precision')


def _open_onnx(path: Path, threads: int | None, providers: Providers) -> Session:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = 3  # errors; warnings are of half precision on CPUs
    session = onnxruntime.InferenceSession(str(path), options, providers=list(providers))

    def run(pixels: np.ndarray, sizes: np.ndarray) -> list[np.ndarray]:
        return session.run(None, {'images': pixels, 'sizes': sizes})

    texts = session.get_modelmeta().custom_metadata_map
    metadata = {name: json.loads(texts[name]) for name in (*NAMES, *LATER_NAMES) if name in texts}
    # Open ones are texts.
    shape = [side if isinstance(side, int) else None for side in session.get_inputs()[0].shape]
    return Session(run, metadata, tuple(shape))


def _open_openvino(path: Path, threads: int | None, precision: str) -> Session:
    core = _openvino_core()
    model = core.read_model(path)
    # Left to itself it computes in bfloat16 on CPUs that have it, and detections move.
    settings = dict(INFERENCE_PRECISION_HINT='f32' if precision == 'fp32' else precision)
    settings |= dict(INFERENCE_NUM_THREADS=threads) if threads else {}
    compiled = core.compile_model(model, 'CPU', settings)
    # A compiled model called as a function has one request for all threads, and gives some the results of others.
    idle: SimpleQueue = SimpleQueue()

    def run(pixels: np.ndarray, sizes: np.ndarray) -> list[np.ndarray]:
        with _borrow(idle, compiled.create_infer_request) as request:
            return list(request.infer(dict(images=pixels, sizes=sizes), share_inputs=True).to_tuple())

    metadata = json.loads(model.get_rt_info([KEY]).value) if model.has_rt_info([KEY]) else {}
    shape = [None if side.is_dynamic else side.get_length() for side in model.input('images').get_partial_shape()]
    return Session(run, metadata, tuple(shape))


@contextmanager
def _borrow(idle: SimpleQueue, make: Callable[[], T]) -> Iterator[T]:
    """One that no other thread uses: an idle one, or a new one."""
    try:
        one = idle.get_nowait()
    except Empty:
        one = make()
    try:
        yield one
    finally:
        idle.put(one)


@cache
def _openvino_core() -> Any:
    """One for the process: those that go in another order than they came take the signal stack of the thread along, and
    the next Ctrl-C ends Python by a segmentation fault (OpenVINO 2026.4)."""
    import openvino

    return openvino.Core()


def _open_torchscript(path: Path, threads: int | None) -> Session:
    import torch

    if threads:
        torch.set_num_threads(threads)
    files = {KEY: ''}
    network = torch.jit.load(path, map_location='cpu', _extra_files=files)

    def run(pixels: np.ndarray, sizes: np.ndarray) -> list[np.ndarray]:
        with torch.no_grad():
            return [output.numpy() for output in network(torch.from_numpy(pixels), torch.from_numpy(sizes))]

    metadata = json.loads(files[KEY] or '{}')
    return Session(run, metadata, (1 if metadata.get('size') else None, 3, None, None))


def _open_tflite(path: Path, threads: int | None) -> Session:
    from ai_edge_litert.interpreter import Interpreter

    idle: SimpleQueue = SimpleQueue()

    def make() -> Any:
        return Interpreter(str(path), num_threads=threads).get_signature_runner()

    def run(pixels: np.ndarray, sizes: np.ndarray) -> list[np.ndarray]:
        # An interpreter has memory for one image, and so is for one thread.
        with _borrow(idle, make) as runner:
            found = runner(images=pixels, sizes=sizes.astype(np.int32))
        return [found['boxes'], found['scores'], found['labels'].astype(np.int64)]

    idle.put(make())
    if not is_zipfile(path):
        return Session(run, {}, ())
    with ZipFile(path) as archive:
        metadata = json.loads(archive.read(f'{KEY}.json'))
    return Session(run, metadata, (1, 3, *metadata['size']))
