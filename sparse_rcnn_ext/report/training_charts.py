"""Charts of a training: losses, learning rate, accuracy."""

import re
from pathlib import Path

import numpy as np

from .chart import FAINT, Chart, draw_lines, new_chart
from .run_files import RunLog

_SMOOTHING = 0.05  # of the logged points, the width of the window
_HIGH = 3  # times the last third's greatest loss: above that the axis ends


def draw_losses(log: RunLog, folder: Path) -> list[Chart]:
    """The sum, and a panel for each kind with a line for each stage.

    A line is the mean over a twentieth of the training; the sum shows the logged points too.
    """
    charts: list[Chart] = []
    steps = [entry['step'] for entry in log.training]
    kinds = log.loss_kinds()
    alt = 'Training loss by iteration: the sum, and each kind by stage'
    columns = 1 + len(kinds)
    with new_chart(folder, 'loss', alt, (3.4 * columns, 3.2), charts) as figure:
        panels = figure.subplots(1, columns, squeeze=False)[0]
        total = _column(log, 'loss')
        panels[0].plot(steps, total, '.', color=FAINT, markersize=2)
        draw_lines(panels[0], [('all', steps, _smooth(total))], 'iteration', 'All losses')
        _limit(panels[0], [total])
        for axes, (kind, names) in zip(panels[1:], kinds.items()):
            columns_of_kind = [_smooth(_column(log, name)) for name in names]
            lines = [(_stage_of(name), steps, values) for name, values in zip(names, columns_of_kind)]
            draw_lines(axes, lines, 'iteration', kind)
            _limit(axes, columns_of_kind)
    return charts


def draw_learning_rate(log: RunLog, folder: Path) -> list[Chart]:
    """The learning rate by iteration, and the norm of the gradients where it was logged."""
    charts: list[Chart] = []
    steps = [entry['step'] for entry in log.training]
    has_norm = 'grad_norm' in log.training[-1]
    alt = 'Learning rate by iteration' + (', and the norm of the gradients' if has_norm else '')
    with new_chart(folder, 'learning_rate', alt, (5.7 if has_norm else 3.6, 2.6), charts) as figure:
        panels = figure.subplots(1, 1 + has_norm, squeeze=False)[0]
        # By optimizer group where there are several: 'lr' and 'base_lr', or one of these.
        names = [name for name in ('lr', 'base_lr') if name in log.training[-1]]
        draw_lines(panels[0], [(name, steps, _column(log, name)) for name in names], 'iteration', 'Learning rate')
        panels[0].set_ylim(bottom=0)
        if has_norm:
            norms = _column(log, 'grad_norm')
            draw_lines(panels[1], [('norm', steps, norms)], 'iteration', 'Gradient norm before clipping')
            if (norms[np.isfinite(norms)] > 0).any():
                panels[1].set_yscale('log')
                panels[1].yaxis.set_major_formatter(lambda value, _: f'{value:g}')
    return charts


def draw_accuracy(log: RunLog, folder: Path) -> list[Chart]:
    """AP by epoch: of COCO, by IoU and by size; of other metrics, what they call AP."""
    groups = {
        'AP': {'AP': 'bbox_mAP', 'AP50': 'bbox_mAP_50', 'AP75': 'bbox_mAP_75'},
        'AP by size': {'small': 'bbox_mAP_s', 'medium': 'bbox_mAP_m', 'large': 'bbox_mAP_l'},
    }
    names = log.metric_names()
    found = {
        title: {label: name for label, end in group.items() for name in names if name.rpartition('/')[2] == end}
        for title, group in groups.items()
    }
    found = {title: group for title, group in found.items() if group}
    if not found:
        others = [name for name in names if 'AP' in name]
        found = {'Accuracy': {name.rpartition('/')[2]: name for name in others}} if others else {}
    if not found:
        return []
    charts: list[Chart] = []
    unit = 'epoch' if log.counts_epochs else 'iteration'
    with new_chart(folder, 'ap_by_epoch', f'AP by {unit}', (3.0 * len(found), 2.6), charts) as figure:
        for axes, (title, group) in zip(figure.subplots(1, len(found), squeeze=False)[0], found.items()):
            lines = [(label, *log.metric_curve(name)) for label, name in group.items()]
            draw_lines(axes, [(label, xs, np.maximum(ys, 0)) for label, xs, ys in lines], unit, title, points=True)
            axes.xaxis.get_major_locator().set_params(integer=True)
    return charts


def _column(log: RunLog, name: str) -> np.ndarray:
    return np.array([entry.get(name, np.nan) for entry in log.training], dtype=float)


def _smooth(values: np.ndarray) -> np.ndarray:
    """Means over a centred window, which narrows towards the ends."""
    widest, last = round(_SMOOTHING * len(values) / 2), len(values) - 1
    halves = [min(widest, place, last - place) for place in range(len(values))]
    return np.array([values[place - half : place + half + 1].mean() for place, half in enumerate(halves)])


def _limit(axes, columns: list[np.ndarray]) -> None:
    """End the axis above what most of the training needs: the first steps may be far off."""
    last = np.concatenate([values[len(values) // 3 :] for values in columns])
    last, every = last[np.isfinite(last)], np.concatenate(columns)
    if len(last):
        axes.set_ylim(0, min(np.nanmax(every[np.isfinite(every)]), _HIGH * last.max()) * 1.05 or 1)


def _stage_of(name: str) -> str:
    """'stage 1' for 's0.loss_cls', 'noised, stage 1' for 'dn_s0.loss_cls', and the name itself for other losses."""
    found = re.match(r'(dn_)?s(\d+)\.', name)
    return f'{"noised, " if found[1] else ""}stage {int(found[2]) + 1}' if found else name
