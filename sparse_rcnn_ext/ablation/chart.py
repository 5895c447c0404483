"""The chart of a table: AP here and in the paper, and what each row costs."""

from collections.abc import Callable, Sequence
from pathlib import Path
from textwrap import fill

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from sparse_rcnn_ext.visualization.palette import PALETTE

from .outcome import Experiment, Outcome
from .report import duration

DPI = 100
WIDTH, ROW_HEIGHT, TITLES_HEIGHT, HEAD_HEIGHT = 15.0, 0.55, 0.7, 0.8  # inches
MIN_ROWS = 3
OURS, COST = (tuple(value / 255 for value in PALETTE[index]) for index in (6, 1))
PAPER = '0.55'


def draw_chart(experiment: Experiment, outcomes: list[Outcome], out_file: Path) -> None:
    """Write the rows of a table as bars, a PNG; its folder must be there."""
    height = HEAD_HEIGHT + TITLES_HEIGHT + ROW_HEIGHT * max(MIN_ROWS, len(outcomes))
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor='white', layout='constrained')
    FigureCanvasAgg(figure)
    head, body = figure.subfigures(2, 1, height_ratios=[HEAD_HEIGHT, height - HEAD_HEIGHT])
    head.text(0.01, 0.72, experiment.table.title, fontsize=15, weight='bold', va='center')
    head.text(0.01, 0.24, f'{Path(experiment.recipe).stem}, {experiment.length}', fontsize=11, color='0.3', va='center')
    facts = [outcome.cost or {} for outcome in outcomes]
    columns: list[tuple[str, list[float | None], Callable[[float], str]]] = [
        ('parameters', [fact.get('parameters') for fact in facts], lambda value: f'{value / 1e6:.1f} M'),
        ('GFLOPs', [fact.get('flops') for fact in facts], lambda value: f'{value / 1e9:.2f}'),
        ('a step', [outcome.step_seconds for outcome in outcomes], lambda value: f'{value * 1e3:.0f} ms'),
        ('training', [outcome.training_seconds for outcome in outcomes], duration),
        ('latency', [fact.get('latency_seconds') for fact in facts], lambda value: f'{value * 1e3:.0f} ms'),
    ]
    is_published = experiment.table.is_published
    widths = [1.7] * (1 + is_published) + [1] * len(columns)
    ours, *others = panels = body.subplots(1, len(widths), sharey=True, width_ratios=widths)
    _draw_ours(ours, outcomes, len(experiment.seeds))
    if is_published:
        paper, *others = others
        _draw_bars(paper, [outcome.row.paper_ap for outcome in outcomes], '{:.1f}'.format, PAPER, hatch='//')
        paper.set_title("the paper's AP,\npublished, on COCO", color='0.35')
    for axes, (title, values, write) in zip(others, columns):
        _draw_bars(axes, values, write, COST)
        axes.set_title(title)
    names = [fill(outcome.row.name, 30) + (' (recipe)' if outcome.is_base else '') for outcome in outcomes]
    ours.set_yticks(range(len(outcomes)), names)
    ours.set_ylim(max(MIN_ROWS, len(outcomes)) - 0.5, -0.5)
    for axes in panels:
        axes.spines[['top', 'right', 'bottom']].set_visible(False)
        axes.set_xticks([])
        axes.tick_params(left=False)
    figure.savefig(out_file, format='png')


def _draw_ours(axes: Axes, outcomes: list[Outcome], num_seeds: int) -> None:
    """Mean AP as bars, and every seed as a point."""
    ends = [max((result.ap for result in outcome.results), default=None) for outcome in outcomes]
    _draw_bars(axes, [outcome.ap for outcome in outcomes], '{:.1f}'.format, OURS, ends=ends)
    for place, outcome in enumerate(outcomes):
        values = [result.ap for result in outcome.results]
        axes.plot(values, [place] * len(values), 'o', color='black', markersize=4, markerfacecolor='white')
    axes.set_title(f'AP here, mean of {num_seeds} seeds;\na point for each' if num_seeds > 1 else 'AP here, one seed')


def _draw_bars(
    axes: Axes,
    values: Sequence[float | None],
    write: Callable[[float], str],
    color: str | tuple[float, float, float],
    hatch: str | None = None,
    ends: Sequence[float | None] | None = None,
) -> None:
    """A bar and its number for each value; the number stands behind what else ends there."""
    known = [(place, value) for place, value in enumerate(values) if value is not None]
    ends = ends or values
    longest = max((ends[place] for place, _ in known), default=0) or 1
    axes.set_xlim(0, 1.45 * longest)
    for place, value in known:
        face = 'white' if hatch else color
        axes.barh(place, value, 0.6, color=face, edgecolor=color, hatch=hatch)
        axes.text(ends[place] + 0.04 * longest, place, write(value), va='center', fontsize=10)
    for place in set(range(len(values))) - {place for place, _ in known}:
        axes.text(0.02 * longest, place, '–', va='center', color='0.55')
