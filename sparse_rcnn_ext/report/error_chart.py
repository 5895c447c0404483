"""The chart of an error split."""

from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.axes import Axes

from .chart import RIGHT, WRONG, Chart, new_chart
from .error_split import ErrorSplit


def draw_errors(split: ErrorSplit, folder: Path) -> Chart:
    """Write errors.png: what each kind of error costs, and how often it happens."""
    charts: list[Chart] = []
    with new_chart(folder, 'errors', 'Errors by kind', (8.6, 3.0), charts) as figure:
        cost, count = figure.subplots(1, 2, sharey=True)
        names = [kind.name for kind in split.kinds]
        _draw_bars(cost, [kind.ap50_lost for kind in split.kinds], RIGHT, lambda value: f'{value:.3f}')
        cost.set_title(f'AP50 lost, of the {1 - split.ap50:.3f} below 1')
        _draw_bars(count, [kind.count for kind in split.kinds], WRONG, lambda value: f'{value:,}')
        count.set_title(f'how many, at scores of at least {split.score_thr:g}')
        cost.set_yticks(range(len(names)), names)
        cost.set_ylim(len(names) - 0.4, -0.6)
    return charts[0]


def _draw_bars(axes: Axes, values: Sequence[float], color: tuple, write: Callable[[float], str]) -> None:
    axes.barh(range(len(values)), values, 0.65, color=color)
    for place, value in enumerate(values):
        axes.annotate(write(value), (value, place), (4, 0), textcoords='offset points', va='center')
    axes.set_xlim(0, 1.2 * max(*values, 1e-9))
    axes.set_xticks([])
    axes.spines['bottom'].set_visible(False)
    axes.tick_params(axis='y', left=False)
