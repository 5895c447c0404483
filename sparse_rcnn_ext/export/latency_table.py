"""Latency of exported files beside the detector, as a table."""

import logging
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope

from sparse_rcnn_ext.analysis.benchmark.report import machine_facts
from sparse_rcnn_ext.engine.config.config_parts import is_part, part_name, scope_of
from sparse_rcnn_ext.engine.config.input_images import inference_size
from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.export import FORMATS
from sparse_rcnn_ext.models import SparseRCNN
from sparse_rcnn_ext.prediction import Predictor
from sparse_rcnn_ext.registry import MODELS

from .check import TOLERANCES, Difference, compare, run_eager, run_file, time_in_turns
from .files import convert_to_openvino, write_onnx
from .graph import DetectionGraph
from .metadata import describe
from .quantization import FORMATS as FORMATS_OF_INT8
from .quantization import PRECISION, quantize
from .runtime import Detector

EAGER = 'detector in torch'
INT8 = ', int8'
"""What the name of such a row ends in."""


class Row(NamedTuple):
    """One of those that were timed."""

    name: str
    seconds: tuple[float, ...]
    """A measurement each."""
    difference: Difference | None
    """From the detector; None of itself, and of 8 bits."""
    size: int | None
    """Of the file, in bytes; None of the detector."""

    @property
    def latency(self) -> float:
        """The median."""
        return median(self.seconds)


def refuse_other_models(cfg: Config) -> None:
    """Raise UserError if the config is none of a Sparse R-CNN of this repository."""
    model = cfg.get('model') or {}
    if not is_part(model, SparseRCNN, 'model', scope_of(cfg)):
        kind = part_name(model)
        raise UserError(f'{cfg.filename} is a {kind}: export takes models of type sparse_rcnn_ext.SparseRCNN')


def build(cfg: Config, checkpoint: str | None) -> tuple[SparseRCNN, tuple[str, ...]]:
    """The detector on the CPU and the names of its classes; with random weights if there is no checkpoint.

    Raises:
        UserError: If the config is no Sparse R-CNN's, or the checkpoint does not fit.
    """
    refuse_other_models(cfg)
    if checkpoint is not None:
        predictor = Predictor(cfg, checkpoint, 'cpu')
        return predictor.model, predictor.classes
    init_default_scope(scope_of(cfg))
    # Else every parameter is listed with how it was made.
    MMLogger.get_current_instance().setLevel(logging.WARNING)
    torch.manual_seed(0)
    detector = MODELS.build(cfg.model).eval()
    for part in (detector.rpn_head, detector.roi_head):
        part.init_weights()
    with torch.no_grad():
        for stage in detector.roi_head.bbox_head:
            # Large random deltas make boxes of millions of pixels in six stages, and rounding errors with them.
            stage.fc_reg.weight.mul_(0.1)
    count = detector.roi_head.bbox_head[-1].num_classes
    return detector, tuple(f'class {number}' for number in range(count))


def measure(
    cfg: Config,
    detector: SparseRCNN,
    classes: Sequence[str],
    formats: Sequence[str],
    dynamic: bool,
    rounds: int,
    folder: Path,
    int8: bool = False,
) -> tuple[list[Row], dict[str, str]]:
    """Write files and time them, with as many threads as torch has.

    Args:
        cfg: Of the detector.
        detector: On the CPU, in eval mode.
        classes: Their names.
        formats: Names of ``FORMATS``, one file each.
        dynamic: Whether the files take any size.
        rounds: Measurements of each.
        folder: For the files.
        int8: Whether to write the formats that have it in integers of 8 bits too. They are quantized by the image of
            noise that is timed, so that what they find is nothing to compare.

    Returns:
        A row for the detector and for each file, and what else a reader needs.

    Raises:
        UserError: If a file does not compute what the detector does.
    """
    height, width = inference_size(cfg)
    image = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    metadata = describe(cfg, detector, classes, dynamic, half=False)
    names = [*formats, *(kind + INT8 for kind in formats if int8 and kind in FORMATS_OF_INT8)]
    graph = DetectionGraph(detector, metadata['pad_divisor'])
    runs, differences, sizes = {}, {}, {}
    for name in names:
        path = _write(name, graph, metadata, image, folder)
        sizes[name] = sum(file.stat().st_size for file in (path, path.with_suffix('.bin')) if file.exists())
        file = Detector(path, torch.get_num_threads())
        batch = file.prepare([image])
        if not runs:
            runs[EAGER] = partial(run_eager, detector, batch)
            expected = runs[EAGER]()[0]
        runs[name] = partial(run_file, file, batch)
        if name.endswith(INT8):
            continue
        differences[name] = compare(runs[name]()[0], expected, TOLERANCES['float32'])
        if not differences[name].is_within(TOLERANCES['float32']):
            raise UserError(f'the {name} file does not compute what the detector does: its time says nothing')
    seconds = time_in_turns(runs, rounds)
    facts = {
        'model': f'{Path(cfg.filename).name}, {metadata["stages"]} stages, {metadata["proposals"]} proposals',
        'image': f'one of {width} × {height} pixels; files of {"any" if dynamic else "fixed"} size',
        'runtimes': ', '.join(f'{name} {version(name)}' for kind in formats for name in FORMATS[kind].runtimes),
    }
    rows = [Row(name, seconds[name], differences.get(name), sizes.get(name)) for name in runs]
    return rows, {name: text for name, text in facts.items() if text} | machine_facts('cpu')


def _write(name: str, graph: DetectionGraph, metadata: dict[str, Any], image: np.ndarray, folder: Path) -> Path:
    """The file of a row. ONNX, which others are made of and which takes a minute, is written once."""
    kind = name.removesuffix(INT8)
    path = folder / (('int8' if name.endswith(INT8) else 'float32') + FORMATS[kind].ending)
    onnx = path.with_suffix(FORMATS['onnx'].ending)
    if kind not in FORMATS_OF_INT8:  # nor made of ONNX
        FORMATS[kind].write(graph, metadata, path)
    elif not onnx.exists() and name.endswith(INT8):
        quantize(_write('onnx', graph, metadata, image, folder), [image], onnx, graph.detector)
    elif not onnx.exists():
        write_onnx(graph, metadata, onnx)
    if kind == 'openvino':
        convert_to_openvino(onnx, metadata | (PRECISION if name.endswith(INT8) else {}), path)
    return path


def write_markdown(rows: Sequence[Row], facts: dict[str, str]) -> str:
    """The facts as a list and a table with a line for each row, the detector's first."""
    lines = [f'- {name}: {value}' for name, value in facts.items()]
    lines += [
        '',
        '| | latency (least–greatest) | times as fast | file | detections compared, least IoU, scores apart |',
        '| --- | ---: | ---: | ---: | --- |',
    ]
    for row in rows:
        times = f'{_ms(row.latency)} ms ({_ms(min(row.seconds))}–{_ms(max(row.seconds))})'
        found = row.difference
        same = '' if found is None else f'{found.compared}, {found.iou:.6f}, {found.score:.1e}'
        size = '' if row.size is None else f'{row.size / 1e6:.1f} MB'
        lines.append(f'| {row.name} | {times} | {rows[0].latency / row.latency:.2f} × | {size} | {same} |')
    return '\n'.join(lines) + '\n'


def _ms(seconds: float) -> str:
    return f'{1e3 * seconds:.1f}'
