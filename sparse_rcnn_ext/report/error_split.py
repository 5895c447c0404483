"""What kinds of errors cost how much AP, by TIDE (https://arxiv.org/abs/2008.08115), and the chart of it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from pycocotools.coco import COCO
from tidecv import TIDE, Data
from tidecv.errors.main_errors import FalseNegativeError, FalsePositiveError, MissedError
from tidecv.quantify import TIDERun

from .chart import RIGHT, WRONG, Chart, new_chart

MATCH_IOU, NOTHING_IOU = 0.5, 0.1
_MAX_DETECTIONS = 100


class ErrorKind(NamedTuple):
    """A kind of error."""

    name: str
    meaning: str
    ap50_lost: float
    """How much AP50, from 0 to 1, would be gained if these errors alone were mended."""
    count: int
    """How many there are among the detections of at least the threshold."""


class ErrorSplit(NamedTuple):
    """All errors of a detector on a data set."""

    ap50: float
    """From 0 to 1."""
    score_thr: float
    """Least score of the detections that are counted."""
    kinds: list[ErrorKind]
    """Class, location, both, duplicate, background, missed."""
    false_positives_lost: float
    """AP50 lost by all wrong detections together."""
    false_negatives_lost: float
    """AP50 lost by all objects that were not found together."""


_KINDS = {
    'Cls': ('class', f'on an object (IoU ≥ {MATCH_IOU}) of another class'),
    'Loc': ('location', f'right class, but {NOTHING_IOU} ≤ IoU < {MATCH_IOU}'),
    'Both': ('both', f'wrong class and {NOTHING_IOU} < IoU < {MATCH_IOU}'),
    'Dupe': ('duplicate', 'right, but a surer detection has the object'),
    'Bkg': ('background', f'on nothing (IoU ≤ {NOTHING_IOU})'),
    'Miss': ('missed', 'an object that no detection has, nor would have if its class or place were right'),
}


def split_errors(truth: COCO, found: Sequence[dict], score_thr: float) -> ErrorSplit:
    """Sort all errors by kind.

    As in COCO's AP, classes without an object take no part, and what lies in a crowd is no error.

    Args:
        truth: Of :func:`read_truth`.
        found: One entry for each image to look at, see :class:`Predictions`; finite.
        score_thr: Least score of the detections that are counted; AP takes all.
    """
    everything = _evaluate(truth, found, 0.0)
    certain = _evaluate(truth, found, score_thr)
    if any(points.data_points for points in everything.ap_data.objs.values()):
        lost, together = everything.fix_main_errors(), everything.fix_special_errors()
    else:
        # The library divides by zero where nothing was found: all is lost by what was missed.
        lost = dict.fromkeys(TIDE._error_types, 0.0) | {MissedError: 100.0}
        together = {FalsePositiveError: 0.0, FalseNegativeError: 100.0}
    # Below 0 by a rounding of the recall, as the library says of the single kinds.
    positives, negatives = (max(together[kind], 0) / 100 for kind in (FalsePositiveError, FalseNegativeError))
    kinds = []
    for error_type in TIDE._error_types:
        name, meaning = _KINDS[error_type.short_name]
        # The library lists what lies in a crowd too; it has no place on the precision-recall curve.
        counted = [
            error for error in certain.error_dict[error_type] if error.original != (None, None) or name == 'missed'
        ]
        kinds.append(ErrorKind(name, meaning, lost[error_type] / 100, len(counted)))
    return ErrorSplit(everything.ap / 100, score_thr, kinds, positives, negatives)


def _evaluate(truth: COCO, found: Sequence[dict], score_thr: float) -> TIDERun:
    objects, detections = Data('truth', _MAX_DETECTIONS), Data('found', _MAX_DETECTIONS)
    annotations = [entry for result in found for entry in truth.imgToAnns.get(result['img_id'], ())]
    classes = {entry['category_id'] for entry in annotations if not entry['iscrowd']}
    for entry in annotations:
        add = objects.add_ignore_region if entry['iscrowd'] else objects.add_ground_truth
        add(entry['image_id'], entry['category_id'], entry['bbox'])
    for result in found:
        # An image without objects counts too.
        objects.add_image(result['img_id'], str(result['img_id']))
        for (left, top, right, bottom), score, label in zip(
            result['bboxes'].tolist(), result['scores'].tolist(), result['labels'].tolist(), strict=True
        ):
            if score >= score_thr and label in classes:
                detections.add_detection(result['img_id'], label, score, [left, top, right - left, bottom - top])
    # Not through TIDE(), which changes matplotlib's settings for good.
    return TIDERun(objects, detections, MATCH_IOU, NOTHING_IOU, TIDE.BOX, _MAX_DETECTIONS)


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
