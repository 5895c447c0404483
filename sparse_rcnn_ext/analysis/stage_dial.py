"""What a trained model gains by each further stage, and what the stage costs: measured, and as table and chart."""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from mmdet.datasets import BaseDetDataset
from mmengine.dataset import pseudo_collate

from sparse_rcnn_ext.models import SparseRCNN
from sparse_rcnn_ext.report.evidence import read_truth
from sparse_rcnn_ext.report.outcomes import judge
from sparse_rcnn_ext.report.predictions import predict_stages
from sparse_rcnn_ext.visualization.palette import PALETTE

from .benchmark.timing import progress, timed

PRECISIONS = ('AP', 'AP50', 'AP75')
_WARM_UPS = 2


class DialRow(NamedTuple):
    """Inference that stops after so many stages."""

    stages: int
    precisions: dict[str, float]
    """The values of ``PRECISIONS``, from 0 to 1."""
    seconds: tuple[float, ...]
    """For one image, from memory to its detections; a measurement each."""

    @property
    def latency(self) -> float:
        """The median of ``seconds``."""
        return median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """Between them lies the middle half of ``seconds``."""
        lower, upper = np.quantile(self.seconds, (0.25, 0.75))
        return float(lower), float(upper)


def measure_precisions(
    model: SparseRCNN, dataset: BaseDetDataset, batch_size: int, num_workers: int
) -> list[dict[str, float]]:
    """The ``PRECISIONS`` by stage, from one pass over a data set.

    Args:
        model: In eval mode, on its device.
        dataset: With a test pipeline.
        batch_size: Images in a batch.
        num_workers: Processes that load images; 0: this one.
    """
    indices = range(len(dataset))
    model.num_test_stages = model.roi_head.num_stages
    found = predict_stages(model, dataset, indices, batch_size, num_workers, score_thr=0.0, progress=True).stages
    truth = read_truth(dataset, indices)
    judged = [judge(truth, of_stage, dataset.metainfo['classes']).stats for of_stage in found]
    return [{name: stats[name] for name in PRECISIONS} for stats in judged]


def measure_latencies(model: SparseRCNN, dataset: BaseDetDataset, rounds: int) -> list[tuple[float, ...]]:
    """Seconds for the data set's first image by number of stages, which are measured in turns.

    Args:
        model: In eval mode, on its device; its ``num_test_stages`` is left at all.
        dataset: With a test pipeline, whose own time does not count.
        rounds: How often each is measured.
    """
    batch = pseudo_collate([dataset[0]])
    device = next(model.parameters()).device.type
    numbers = range(1, model.roi_head.num_stages + 1)
    measures = [timed(_stop_after(model, number, batch), 'image', device) for number in numbers]
    seconds: list[list[float]] = [[] for _ in numbers]
    with progress((_WARM_UPS + rounds) * len(numbers), 'timing') as bar:
        for turn in range(_WARM_UPS + rounds):
            for measure, found in zip(measures, seconds, strict=True):
                time = measure()['image']
                if turn >= _WARM_UPS:
                    found.append(time)
                bar.update()
    return [tuple(found) for found in seconds]


def _stop_after(model: SparseRCNN, number: int, batch: dict) -> Callable[[], object]:
    def detect() -> object:
        model.num_test_stages = number
        with torch.no_grad():
            return model.test_step(copy.copy(batch))

    return detect


DPI = 100
SIZE = 10.0, 4.2  # inches
COLORS = [tuple(value / 255 for value in PALETTE[index]) for index in (6, 0, 2)]


def write_markdown(rows: Sequence[DialRow], facts: dict[str, str], chart: str | None = None) -> str:
    """A table with a line for each number of stages.

    Args:
        rows: In the order of their stages.
        facts: What else a reader needs, by name.
        chart: A picture beside the report.
    """
    last = rows[-1]
    lines = ['# AP and latency by stage', '']
    lines += [f'- {name}: {value}' for name, value in facts.items()]
    lines += [
        '',
        f'| stages | {" | ".join(PRECISIONS)} | latency (quartiles) | of all stages |',
        '| ---: | ---: | ---: | ---: | ---: | ---: |',
    ]
    for row in rows:
        precisions = [f'{100 * row.precisions[name]:.1f}' for name in PRECISIONS]
        latency = '{} ms ({}–{})'.format(*map(_ms, (row.latency, *row.quartiles)))
        share = f'{row.latency / last.latency:.0%}'
        lines.append(f'| {" | ".join([str(row.stages), *precisions, latency, share])} |')
    lines += [
        '',
        'AP in per cent, of each stage as if it were the last, from one pass. Latency: the median for one image in '
        'memory; the numbers of stages were measured in turns.',
    ]
    if chart is not None:
        lines += ['', f'![AP and latency by stage]({chart})']
    return '\n'.join(lines) + '\n'


def as_json(rows: Sequence[DialRow], facts: dict[str, str]) -> dict:
    """Everything behind the table: precisions from 0 to 1, seconds."""
    return dict(
        facts=facts,
        rows=[
            dict(stages=row.stages, **row.precisions, latency_seconds=row.latency, seconds=row.seconds) for row in rows
        ],
    )


def draw_chart(rows: Sequence[DialRow], title: str, out_file: Path) -> None:
    """Write a PNG: precisions by stage, and AP against latency; its folder must be there."""
    figure = Figure(figsize=SIZE, dpi=DPI, facecolor='white', layout='constrained')
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=11)
    by_stage, by_latency = figure.subplots(1, 2)
    stages = [row.stages for row in rows]
    for name, color in zip(PRECISIONS, COLORS, strict=True):
        values = [100 * row.precisions[name] for row in rows]
        by_stage.plot(stages, values, color=color, marker='o', label=name)
    by_stage.set_xticks(stages)
    by_stage.set_xlabel('stages that run')
    by_stage.legend(frameon=False, loc='lower right')
    _draw_trade(by_latency, rows)
    for axes in (by_stage, by_latency):
        axes.set_ylim(bottom=0)
        axes.spines[['top', 'right']].set_visible(False)
        axes.grid(axis='y', color='0.9')
    by_stage.set_ylabel('per cent')
    by_latency.set_ylabel('AP, per cent')
    figure.savefig(out_file, format='png')


def _draw_trade(axes: Axes, rows: Sequence[DialRow]) -> None:
    """Medians of the latency, with the quartiles as whiskers."""
    middle = [1e3 * row.latency for row in rows]
    below = [1e3 * (row.latency - row.quartiles[0]) for row in rows]
    above = [1e3 * (row.quartiles[1] - row.latency) for row in rows]
    aps = [100 * row.precisions['AP'] for row in rows]
    axes.errorbar(middle, aps, xerr=[below, above], color=COLORS[0], ecolor='0.6', marker='o', capsize=3, clip_on=False)
    for row, x, y in zip(rows, middle, aps, strict=True):
        text = f'{row.stages} stage{"s" if row.stages > 1 else ""}'
        axes.annotate(text, (x, y), xytext=(-10, 6), textcoords='offset points', ha='right')
    axes.set_xlim(left=0, right=1.1 * max(m + a for m, a in zip(middle, above, strict=True)))
    axes.margins(y=0.15)
    axes.set_xlabel('milliseconds for one image')


def _ms(seconds: float) -> str:
    """Three digits that count."""
    return f'{1e3 * seconds:.0f}' if seconds >= 0.0995 else f'{1e3 * seconds:.1f}'
