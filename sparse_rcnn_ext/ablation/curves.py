"""AP over the time of training, a line for each row of a table."""

from pathlib import Path
from statistics import mean

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from sparse_rcnn_ext.visualization.palette import PALETTE

from .outcome import Experiment, Outcome

SIZE = (9.0, 5.5)  # inches
DPI = 100


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
