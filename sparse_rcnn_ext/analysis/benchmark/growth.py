"""How the cost of a training step grows with the image, the proposals, the stages and the boxes, and its chart."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from sparse_rcnn_ext.visualization.palette import PALETTE

from .processes import PEAK, measure_memory
from .settings import Setting, settle
from .timing import Comparison, Result
from .training_step import STEP, measure_training

AXES: dict[str, tuple[int, ...]] = {
    'side': (320, 480, 640, 800),
    'proposals': (100, 300, 500),
    'stages': (1, 2, 3, 6, 12),
    'boxes': (1, 10, 50, 200),
}
TITLES = dict(side='image side in pixels', proposals='proposals', stages='stages', boxes='boxes per image')


class Growth(NamedTuple):
    """What a training step costs at each value of one axis."""

    axis: str
    values: tuple[int, ...]
    seconds: tuple[Comparison, ...]
    """One for each value."""
    peaks: tuple[Comparison, ...]
    """One for each value."""


def measure_growth(setting: Setting, axis: str, values: Sequence[int]) -> tuple[Growth, Result]:
    """Time and peak memory of a training step with one thing changed.

    Args:
        setting: Where the other axes stay.
        axis: A name of :data:`AXES`; ``'side'`` stands for square images.
        values: What to set it to.

    Raises:
        UserError: If a value cannot be, or the losses of the two differ.
    """
    seconds, peaks = [], []
    for value in values:
        given = settle(replace(setting, **(dict(size=(value, value)) if axis == 'side' else {axis: value})))
        seconds.append(measure_training(given, parts=False).comparison(STEP))
        peaks.append(measure_memory(replace(given, rounds=1)).comparison(PEAK))
    growth = Growth(axis, tuple(values), tuple(seconds), tuple(peaks))
    named = [
        comparison._replace(name=f'{value}: {comparison.name}')
        for value, *pair in zip(values, seconds, peaks, strict=True)
        for comparison in pair
    ]
    return growth, Result('growth', settle(setting), named, [], title=f'By {TITLES[axis]}')


DPI = 100
SIZE = 10.0, 4.2  # inches
OURS = tuple(value / 255 for value in PALETTE[6])
THEIRS = '0.55'
GIB = 1 << 30


def draw_growth(growth: Growth, setting: str, out_file: Path) -> None:
    """Write the chart, a PNG; its folder must be there.

    Args:
        growth: What was measured.
        setting: What else was set, in words.
        out_file: Where to.
    """
    figure = Figure(figsize=SIZE, dpi=DPI, facecolor='white', layout='constrained')
    FigureCanvasAgg(figure)
    figure.suptitle(f'A training step by {TITLES[growth.axis]}\n{setting}', fontsize=11)
    time, memory = figure.subplots(1, 2)
    _draw(time, growth.values, growth.seconds, 1.0)
    time.set_ylabel('seconds')
    _draw(memory, growth.values, growth.peaks, GIB)
    memory.set_ylabel('GiB at the peak, beside the weights')
    for axes in (time, memory):
        axes.set_xlabel(TITLES[growth.axis])
        axes.set_xticks(growth.values)
        axes.set_ylim(bottom=0)
        axes.spines[['top', 'right']].set_visible(False)
        axes.grid(axis='y', color='0.9')
        axes.legend(frameon=False, loc='upper left')
    figure.savefig(out_file, format='png')


def _draw(axes: Axes, values: tuple[int, ...], comparisons: tuple[Comparison, ...], unit: float) -> None:
    """Medians as lines, least and greatest as whiskers."""
    for label, side, color in (('mmdet', 'theirs', THEIRS), ('ours', 'ours', OURS)):
        samples = [[value / unit for value in getattr(comparison, side)] for comparison in comparisons]
        middle = [median(found) for found in samples]
        below = [at - min(found) for at, found in zip(middle, samples, strict=True)]
        above = [max(found) - at for at, found in zip(middle, samples, strict=True)]
        axes.errorbar(values, middle, yerr=[below, above], label=label, color=color, marker='o', capsize=3)
        axes.annotate(f'{middle[-1]:.2g}', (values[-1], middle[-1]), xytext=(6, 0), textcoords='offset points')
