"""Latency of exported files beside the detector, as a table."""

import logging
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope

from sparse_rcnn_ext.analysis import inference_size
from sparse_rcnn_ext.analysis.benchmark.machine import machine_facts
from sparse_rcnn_ext.engine.config_parts import is_part, part_name, scope_of
from sparse_rcnn_ext.engine.errors import UserError
from sparse_rcnn_ext.export import ENDINGS, RUNTIMES
from sparse_rcnn_ext.models import SparseRCNN
from sparse_rcnn_ext.prediction import Predictor
from sparse_rcnn_ext.registry import MODELS

from .check import TOLERANCES, run_eager, run_file
from .comparison import Difference, compare
from .files import WRITERS, convert_to_openvino
from .graph import DetectionGraph
from .latency import time_in_turns
from .metadata import describe
from .runtime import Detector

EAGER = 'detector in torch'


class Row(NamedTuple):
    """One of those that were timed."""

    name: str
    seconds: tuple[float, ...]
    """A measurement each."""
    difference: Difference | None
    """From the detector; None of itself."""

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
) -> tuple[list[Row], dict[str, str]]:
    """Write files and time them, with as many threads as torch has.

    Args:
        cfg: Of the detector.
        detector: On the CPU, in eval mode.
        classes: Their names.
        formats: Keys of ``WRITERS``, one file each.
        dynamic: Whether the files take any size.
        rounds: Measurements of each.
        folder: For the files.

    Returns:
        A row for the detector and for each file, and what else a reader needs.

    Raises:
        UserError: If a file does not compute what the detector does.
    """
    height, width = inference_size(cfg)
    image = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    metadata = describe(cfg, detector, classes, dynamic, half=False)
    runs, differences = {}, {EAGER: None}
    for kind in formats:
        path = folder / f'model{ENDINGS[kind]}'
        onnx = path.with_name(f'model{ENDINGS["onnx"]}')
        if kind == 'openvino' and onnx.exists():
            # What its writer does, but for another ONNX export, which takes a minute.
            convert_to_openvino(onnx, metadata, path)
        else:
            WRITERS[kind](DetectionGraph(detector, metadata['pad_divisor']), metadata, path)
        file = Detector(path, torch.get_num_threads())
        batch = file.prepare([image])
        if not runs:
            runs[EAGER] = partial(run_eager, detector, batch)
            expected = runs[EAGER]()[0]
        runs[kind] = partial(run_file, file, batch)
        differences[kind] = compare(runs[kind]()[0], expected, TOLERANCES['float32'])
        if not differences[kind].is_within(TOLERANCES['float32']):
            raise UserError(f'the {kind} file does not compute what the detector does: its time says nothing')
    seconds = time_in_turns(runs, rounds)
    facts = {
        'model': f'{Path(cfg.filename).name}, {metadata["stages"]} stages, {metadata["proposals"]} proposals',
        'image': f'one of {width} × {height} pixels; files of {"any" if dynamic else "fixed"} size',
        'runtimes': ', '.join(f'{name} {version(name)}' for kind in formats for name in RUNTIMES[kind]),
    }
    rows = [Row(name, seconds[name], differences[name]) for name in runs]
    return rows, {name: text for name, text in facts.items() if text} | machine_facts('cpu')


def write_markdown(rows: Sequence[Row], facts: dict[str, str]) -> str:
    """The facts as a list and a table with a line for each row, the detector's first."""
    lines = [f'- {name}: {value}' for name, value in facts.items()]
    lines += [
        '',
        '| | latency (least–greatest) | times as fast | detections compared, least IoU, scores apart |',
        '| --- | ---: | ---: | --- |',
    ]
    for row in rows:
        times = f'{_ms(row.latency)} ms ({_ms(min(row.seconds))}–{_ms(max(row.seconds))})'
        found = row.difference
        same = '' if found is None else f'{found.compared}, {found.iou:.6f}, {found.score:.1e}'
        lines.append(f'| {row.name} | {times} | {rows[0].latency / row.latency:.2f} × | {same} |')
    return '\n'.join(lines) + '\n'


def _ms(seconds: float) -> str:
    return f'{1e3 * seconds:.1f}'
