"""Charts of what a model gets right: by class, by recall, by stage, and what it takes for what."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import shorten

import numpy as np
from matplotlib.colors import to_rgba

from .chart import FAINT, SERIES, Chart, draw_lines, new_chart
from .outcomes import STATS, Judgement

MAX_BARS = 80
MAX_CURVES = 6
MAX_MATRIX = 40
_CELLS_WITH_NUMBERS = 16
_RECALLS = np.linspace(0, 1, 101)


def draw_classes(judgement: Judgement, folder: Path) -> list[Chart]:
    """AP of each class as a bar, AP50 as a point, the best class on top; of many, the best and the worst."""
    charts: list[Chart] = []
    ap, ap50 = judgement.ap_by_class(), judgement.precision(0.5).mean(axis=0)
    objects = judgement.objects_by_class()
    order = np.argsort(-np.nan_to_num(ap, nan=-1), kind='stable')
    # Classes without objects have no AP.
    order = order[~np.isnan(ap[order])]
    left_out = len(order) - MAX_BARS
    if left_out > 0:
        order = np.concatenate([order[: MAX_BARS // 2], order[-MAX_BARS // 2 :]])
    if not len(order):
        return []
    names = [f'{shorten(judgement.classes[label], 28)} ({objects[label]:,})' for label in order]
    alt = 'AP by class'
    with new_chart(folder, 'ap_by_class', alt, (7.4, 1.1 + 0.24 * max(4, len(order))), charts) as figure:
        axes = figure.subplots()
        places = np.arange(len(order))
        axes.barh(places, ap[order], 0.7, color=SERIES[0], label='AP')
        axes.plot(ap50[order], places, 'o', color=SERIES[1], markersize=5, label='AP50')
        for place, label in enumerate(order):
            inside = dict(ha='right', color='#ffffff') if ap[label] > 0.1 else {}
            offset = (-4 if inside else 8, 0)
            axes.annotate(
                f'{ap[label]:.3f}', (ap[label], place), offset, textcoords='offset points', va='center', **inside
            )
        axes.set_yticks(places, names)
        axes.set_ylim(max(4, len(order)) - 0.4, -0.6)
        axes.set_xlim(0, 1.08)
        axes.tick_params(axis='y', left=False)
        axes.grid(axis='x')
        title = 'AP by class (objects)'
        axes.set_title(title if left_out <= 0 else f'{title}; {left_out} in the middle are left out')
        axes.legend(loc='lower right', ncols=2, fontsize=8.5)
    return charts


def draw_precision_recall(judgement: Judgement, folder: Path) -> list[Chart]:
    """Precision over recall: the mean over classes at several IoUs, and each class at 0.5."""
    charts: list[Chart] = []
    present = np.flatnonzero(judgement.objects_by_class())
    if not len(present):
        return []
    alt = 'Precision over recall, by IoU and by class'
    with new_chart(folder, 'precision_recall', alt, (8.6, 3.7), charts) as figure:
        by_iou, by_class = figure.subplots(1, 2)
        curves = {iou: judgement.precision(iou)[:, present].mean(axis=1) for iou in (0.5, 0.6, 0.7, 0.8, 0.9)}
        lines = [(f'IoU {iou}', _RECALLS, values) for iou, values in curves.items()]
        draw_lines(by_iou, lines, 'recall', 'Mean of all classes')
        precision = judgement.precision(0.5)
        ranked = present[np.argsort(-precision[:, present].mean(axis=0), kind='stable')]
        shown = ranked
        if len(ranked) > MAX_CURVES:
            half = MAX_CURVES // 2
            shown = np.concatenate([ranked[:half], ranked[-half:]])
            by_class.plot(_RECALLS, precision[:, ranked[half:-half]], color=FAINT, linewidth=0.6, alpha=0.5)
        lines = [(shorten(judgement.classes[label], 24), _RECALLS, precision[:, label]) for label in shown]
        title = 'Classes at IoU 0.5' + ('; coloured: the three best and worst' if len(ranked) > MAX_CURVES else '')
        draw_lines(by_class, lines, 'recall', title)
        for axes in (by_iou, by_class):
            axes.set(xlim=(0, 1), ylim=(0, 1.02), ylabel='precision')
    return charts


def draw_confusion(matrix: np.ndarray, classes: Sequence[str], score_thr: float, folder: Path) -> list[Chart]:
    """What each class is taken for, in shares of its objects; of many, the classes with the most mix-ups."""
    charts: list[Chart] = []
    mixed = matrix[:-1, :-1] - np.diag(np.diag(matrix[:-1, :-1]))
    kept = np.sort(np.argsort(-(mixed.sum(axis=0) + mixed.sum(axis=1)), kind='stable')[:MAX_MATRIX])
    rows = np.append(kept, len(classes))
    counts = matrix[np.ix_(rows, rows)]
    # All detections of nothing are as many as they are: their row has shares of its own.
    totals = matrix.sum(axis=1)[rows]
    shares = counts / np.maximum(totals, 1)[:, None]
    names = [shorten(classes[label], 22) for label in kept]
    side = 2.6 + 0.36 * max(5, len(rows))
    alt = 'Confusion matrix'
    with new_chart(folder, 'confusion_matrix', alt, (side + 0.6, side), charts) as figure:
        axes = figure.subplots()
        colors = np.tile(to_rgba(SERIES[0]), (*shares.shape, 1))
        # See-through where it is low, so that it lies well on a dark page too.
        colors[..., 3] = shares**0.5
        axes.imshow(colors, interpolation='nearest')
        if len(rows) <= _CELLS_WITH_NUMBERS:
            for (row, column), count in np.ndenumerate(counts):
                if count:
                    style = dict(color='#ffffff') if shares[row, column] > 0.3 else {}
                    axes.text(column, row, f'{count:,}', ha='center', va='center', fontsize=8.5, **style)
        size = 9.5 if len(rows) <= _CELLS_WITH_NUMBERS else 7
        places = range(len(rows))
        axes.set_xticks(places, [*names, 'missed'], rotation=60, ha='right', rotation_mode='anchor', fontsize=size)
        axes.set_yticks(places, [*names, 'no object'], fontsize=size)
        for draw in (axes.axhline, axes.axvline):
            draw(len(rows) - 1.5, color=FAINT, linewidth=0.8)
        axes.set(xlabel='detected as', ylabel='object')
        left_out = len(classes) - len(kept)
        more = f'; the {len(kept)} most mixed-up classes' if left_out else ''
        axes.set_title(f'Detections of at least {score_thr:g}, IoU ≥ 0.5{more}')
    return charts


def draw_stages(stages: Sequence[Judgement], folder: Path) -> list[Chart]:
    """AP of each stage's detections."""
    charts: list[Chart] = []
    numbers = range(1, len(stages) + 1)
    with new_chart(folder, 'ap_by_stage', 'AP by stage', (7.6, 3.0), charts) as figure:
        groups = (STATS[:3], STATS[3:])
        for axes, names, title in zip(figure.subplots(1, 2), groups, ('AP', 'AP by size')):
            lines = [(name.removeprefix('AP '), numbers, [stage.stats[name] for stage in stages]) for name in names]
            draw_lines(axes, lines, 'stage', title, points=True)
            axes.set_xticks(numbers)
    return charts
