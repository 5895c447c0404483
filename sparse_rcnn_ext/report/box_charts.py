"""Charts of boxes: how large and how many they are, and where the proposals start."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from .chart import FAINT, RIGHT, SERIES, WRONG, Chart, new_chart
from .outcomes import ImageOutcome

_SIZE_BORDERS = (32, 96)  # pixels, the sides of COCO's small and medium squares


def draw_sizes_and_counts(outcomes: Sequence[ImageOutcome], score_thr: float, folder: Path) -> list[Chart]:
    """Objects and detections by size, objects and detections an image, and the scores."""
    charts: list[Chart] = []
    objects = [outcome.truth[~outcome.truth.crowds] for outcome in outcomes]
    found = np.concatenate([outcome.found[~outcome.truth.crowds].numpy() for outcome in outcomes])
    right = np.concatenate([outcome.right.numpy() for outcome in outcomes])
    true_sides = _sides([instances.bboxes.numpy() for instances in objects])
    sides = _sides([outcome.detections.bboxes.numpy() for outcome in outcomes])
    scores = np.concatenate([outcome.detections.scores.numpy() for outcome in outcomes])
    alt = 'Sizes of objects and detections, their number an image, and scores'
    with new_chart(folder, 'sizes_and_counts', alt, (12.4, 3.2), charts) as figure:
        by_object, by_detection, by_image, by_score = figure.subplots(1, 4)
        everything = np.concatenate([true_sides, sides])
        if len(everything):
            low, high = max(1.0, everything.min()), max(2.0, everything.max())
            bins = np.geomspace(low, high * 1.001, 25)
            _stack(by_object, true_sides, found, bins, ('found', 'missed'))
            _stack(by_detection, sides, right, bins, ('right', 'wrong'))
            for axes in (by_object, by_detection):
                axes.set_xscale('log')
                ticks = [2**power for power in range(16) if low <= 2**power <= high]
                axes.set_xticks(ticks, ticks)
                axes.minorticks_off()
                for border in _SIZE_BORDERS:
                    if low < border < high:
                        axes.axvline(border, color=FAINT, linewidth=1, linestyle='--')
                axes.set_xlabel('√(width · height) in pixels')
        by_object.set(title='Objects by size', ylabel='objects')
        by_detection.set(title=f'Detections ≥ {score_thr:g} by size', ylabel='detections')
        counts = [len(instances) for instances in objects], [len(outcome.detections) for outcome in outcomes]
        _draw_counts(by_image, *counts)
        if len(scores):
            _stack(by_score, scores, right, np.linspace(score_thr, 1, 25), ('right', 'wrong'))
        by_score.set(title='Detections by score', xlabel='score', ylabel='detections')
    return charts


def draw_proposals(boxes: np.ndarray, uses: np.ndarray, num_images: int, score_thr: float, folder: Path) -> list[Chart]:
    """The learned boxes over the image, their centres, and how often each ends as a detection.

    Args:
        boxes: (N, 4) cxcywh relative to the image.
        uses: (N,) in how many images a proposal ends with a score of at least ``score_thr``.
        num_images: Of how many.
        score_thr: The threshold.
        folder: Where the PNG goes.
    """
    charts: list[Chart] = []
    shares = uses / max(1, num_images)
    with new_chart(folder, 'proposals', 'The learned proposals', (10.6, 3.5), charts) as figure:
        frames, centres, use = figure.subplots(1, 3)
        for cx, cy, width, height in boxes:
            corner = (cx - width / 2, cy - height / 2)
            style = dict(fill=False, edgecolor=SERIES[0], linewidth=0.8, alpha=0.5)
            frames.add_patch(Rectangle(corner, width, height, **style))
        areas = np.abs(boxes[:, 2] * boxes[:, 3])
        dots = centres.scatter(
            boxes[:, 0], boxes[:, 1], s=8 + 200 * areas, c=shares, cmap='viridis', alpha=0.8, edgecolors='none', vmin=0
        )
        figure.colorbar(dots, ax=centres, label='share of the images', fraction=0.046)
        frames.set_title(f'The {len(boxes)} learned boxes')
        centres.set_title('Their centres, as large as the boxes')
        for axes in (frames, centres):
            axes.add_patch(Rectangle((0, 0), 1, 1, fill=False, edgecolor=FAINT, linewidth=1))
            axes.set(xlim=(-0.12, 1.12), ylim=(1.12, -0.12), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
            axes.set_aspect('equal')
            axes.spines[['left', 'bottom']].set_visible(False)
        use.bar(range(1, len(shares) + 1), np.sort(shares)[::-1], width=1, color=SERIES[0])
        use.set(title=f'Images in which it ends with ≥ {score_thr:g}', xlabel='proposals, the most used first')
        use.yaxis.set_major_formatter(lambda value, _: f'{value:.0%}')
        use.set_ylim(bottom=0)
    return charts


def _sides(boxes: Sequence[np.ndarray]) -> np.ndarray:
    """√(width · height) of all boxes."""
    corners = np.concatenate(boxes)
    return np.sqrt((corners[:, 2:] - corners[:, :2]).clip(0).prod(axis=1))


def _stack(axes: Axes, values: np.ndarray, good: np.ndarray, bins: np.ndarray, names: tuple[str, str]) -> None:
    axes.hist([values[good], values[~good]], bins, stacked=True, color=[RIGHT, WRONG], label=names)
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    if not len(values):
        axes.set_ylim(0, 1)
    axes.legend(fontsize=8.5)


def _draw_counts(axes: Axes, objects: Sequence[int], detections: Sequence[int]) -> None:
    """Two histograms over each other, the objects' as bars and the detections' as a line."""
    most = max(1, *objects, *detections)
    step = -(-(most + 1) // 30)
    bins = np.arange(0, most + step + 1, step) - 0.5
    axes.hist(objects, bins, color=RIGHT, alpha=0.6, label=f'objects (mean {np.mean(objects):.1f})')
    mean = np.mean(detections)
    axes.hist(detections, bins, histtype='step', color=WRONG, linewidth=1.6, label=f'detections (mean {mean:.1f})')
    axes.set(title='Boxes an image', xlabel='boxes', ylabel='images')
    # Above the bars.
    axes.set_ylim(0, axes.get_ylim()[1] * 1.3)
    axes.legend(fontsize=8.5, loc='upper right')
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(6, integer=True))
