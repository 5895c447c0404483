"""The charts of a table: AP here and in the paper with what each row costs, and AP over the time of training."""

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean
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


SIZE = (9.0, 5.5)  # inches


def draw_curves(experiment: Experiment, outcomes: list[Outcome], out_file: Path) -> bool:
    """Draw what the trainings' validations said: the mean over the seeds as a line, each seed as points.

    Args:
        experiment: What all rows were run with.
        outcomes: The rows; those without a validation are left out.
        out_file: A PNG; its folder must be there.

    Returns:
        Whether there was anything to draw; else no file is written.
    """
    rows = [(number, outcome) for number, outcome in enumerate(outcomes) if any(run.curve for run in outcome.results)]
    if not rows:
        return False
    figure = Figure(figsize=SIZE, dpi=DPI, facecolor='white', layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for number, outcome in rows:
        color = tuple(value / 255 for value in PALETTE[number % len(PALETTE)])
        for run in outcome.results:
            axes.plot([point[1] / 60 for point in run.curve], [point[2] for point in run.curve], 'o', color=color, ms=3)
        minutes, aps = mean_curve(outcome)
        name = f'{outcome.row.name} (recipe)' if outcome.is_base else outcome.row.name
        axes.plot(minutes, aps, color=color, lw=2, label=name)
    axes.set_title(f'{Path(experiment.recipe).stem}, {experiment.length}', fontsize=11, color='0.3')
    axes.set_xlabel('minutes of training, without validations')
    axes.set_ylabel('AP')
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.grid(color='0.9')
    axes.spines[['top', 'right']].set_visible(False)
    axes.legend(frameon=False, loc='lower right')
    figure.savefig(out_file, format='png')
    return True


def mean_curve(outcome: Outcome) -> tuple[list[float], list[float]]:
    """Minutes and AP, each the mean over the seeds, of the validations that all finished seeds have."""
    curves = [{when: (seconds, ap) for when, seconds, ap in run.curve} for run in outcome.results if run.curve]
    shared = sorted(set.intersection(*map(set, curves)))
    minutes = [mean(curve[when][0] for curve in curves) / 60 for when in shared]
    return minutes, [mean(curve[when][1] for curve in curves) for when in shared]
