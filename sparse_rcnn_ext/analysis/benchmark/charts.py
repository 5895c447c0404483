"""A chart of how a training step's cost grows: time and peak memory, ours beside mmdet's."""

from pathlib import Path
from statistics import median

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from sparse_rcnn_ext.visualization.palette import PALETTE

from .growth import TITLES, Growth
from .timing import Comparison

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
