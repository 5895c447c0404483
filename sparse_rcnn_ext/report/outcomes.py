"""Detections and ground truth judged by COCO's rules, and what became of each image's objects."""

from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from typing import NamedTuple

import numpy as np
import torch
from mmdet.structures.bbox import bbox_overlaps
from mmengine.structures import InstanceData
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import Tensor

from sparse_rcnn_ext.evaluation.box_evaluation import evaluate_boxes
from sparse_rcnn_ext.visualization.detections import agree, pair

STATS = ('AP', 'AP50', 'AP75', 'AP small', 'AP medium', 'AP large')
"""The first six lines of COCO's table."""
_IOUS = np.linspace(0.5, 0.95, 10)
_MAX_DETECTIONS = (1, 10, 100)


@dataclass(frozen=True)
class Judgement:
    """A COCO evaluation, and what went into it."""

    truth: COCO
    found: list[dict]
    classes: tuple[str, ...]
    evaluation: COCOeval | None
    """None where nothing was found."""

    @property
    def stats(self) -> dict[str, float]:
        """The values of ``STATS``, from 0 to 1; NaN where there is no object."""
        values = [0.0] * len(STATS) if self.evaluation is None else self.evaluation.stats[: len(STATS)]
        return {name: float(value) if value >= 0 else float('nan') for name, value in zip(STATS, values)}

    def precision(self, iou: float) -> np.ndarray:
        """Precision at the recalls 0, 0.01, …, 1 by class, (101, K); NaN for classes without objects."""
        if self.evaluation is None:
            return np.where(self.objects_by_class() > 0, 0.0, np.nan) * np.ones((101, 1))
        place = int(np.isclose(self.evaluation.params.iouThrs, iou).argmax())
        return self._known(self.evaluation.eval['precision'][place, :, :, 0, -1])

    def ap_by_class(self) -> np.ndarray:
        """AP of each class, (K,); NaN for classes without objects."""
        if self.evaluation is None:
            return self.precision(0.5).mean(axis=0)
        return self._known(self.evaluation.eval['precision'][..., 0, -1]).mean(axis=(0, 1))

    def objects_by_class(self) -> np.ndarray:
        """How many objects of each class there are, (K,); crowds do not count."""
        labels = [entry['category_id'] for entry in self.truth.anns.values() if not entry['iscrowd']]
        return np.bincount(labels, minlength=len(self.classes))

    @staticmethod
    def _known(values: np.ndarray) -> np.ndarray:
        # 1 of 1 is 1 - 2^-52 to COCO, and would come after 1 of 1 of another class.
        return np.where(values > -1, values.round(12), np.nan)


def judge(truth: COCO, found: Sequence[dict], classes: Sequence[str]) -> Judgement:
    """Evaluate what was found in the images of ``truth``, without printing.

    Args:
        truth: Of :func:`read_truth`.
        found: One entry an image, see :class:`Predictions`; what is infinite or NaN is left out.
        classes: Names of the classes.
    """
    found = [_finite(result) for result in found]
    evaluation = None
    if any(len(result['labels']) for result in found):
        with redirect_stdout(StringIO()):
            evaluation = evaluate_boxes(truth, range(len(classes)), found, True, _MAX_DETECTIONS, _IOUS)
    return Judgement(truth, found, tuple(classes), evaluation)


def _finite(result: dict) -> dict:
    keep = np.isfinite(result['bboxes']).all(axis=1) & np.isfinite(result['scores'])
    return dict(img_id=result['img_id'], **{name: result[name][keep] for name in ('bboxes', 'scores', 'labels')})


MIN_IOU = 0.5


class ImageOutcome(NamedTuple):
    """Objects and detections of one image, paired by class and an IoU of at least 0.5."""

    truth: InstanceData
    """``bboxes`` (G, 4) xyxy in pixels of the file, ``labels`` (G,), ``crowds`` (G,) bool."""
    detections: InstanceData
    """Those of at least the threshold: ``bboxes`` (D, 4), ``scores`` (D,) falling, ``labels`` (D,)."""
    found: Tensor
    """Which objects were found (G,)."""
    right: Tensor
    """Which detections are no mistake (D,)."""

    @property
    def mistakes(self) -> int:
        """Missed objects and wrong detections."""
        return int((~self.found & ~self.truth.crowds).sum() + (~self.right).sum())

    @property
    def f1(self) -> float:
        """2 · found / (2 · found + mistakes); 0 where nothing was found."""
        found = 2 * int(self.found.sum())
        return found / (found + self.mistakes) if found else 0.0


def judge_images(judgement: Judgement, score_thr: float) -> list[ImageOutcome]:
    """The outcome of every image, in the order of what was found."""
    outcomes = []
    for result in judgement.found:
        annotations = judgement.truth.imgToAnns.get(result['img_id'], [])
        boxes = torch.tensor([entry['bbox'] for entry in annotations], dtype=torch.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        truth = InstanceData(
            bboxes=boxes,
            labels=torch.tensor([entry['category_id'] for entry in annotations], dtype=torch.long),
            crowds=torch.tensor([bool(entry['iscrowd']) for entry in annotations], dtype=torch.bool),
        )
        keep = result['scores'] >= score_thr
        detections = InstanceData(
            **{name: torch.from_numpy(result[name][keep]) for name in ('bboxes', 'scores', 'labels')}
        )
        right, found = agree(detections, truth, MIN_IOU)
        outcomes.append(ImageOutcome(truth, detections, found, right))
    return outcomes


def rank_images(outcomes: Sequence[ImageOutcome], number: int) -> tuple[list[int], list[int]]:
    """The places of the worst images, the worst first, and of the best, the best first; no image is in both.

    The measure is F1. Among equals, more mistakes are worse and more objects better. Images without objects, whose F1
    is 0 with a single detection, are in no list.
    """
    ranked = sorted(
        (place for place, outcome in enumerate(outcomes) if not outcome.truth.crowds.all()),
        key=lambda place: (outcomes[place].f1, -outcomes[place].mistakes, int(outcomes[place].found.sum())),
    )
    worst = ranked[: min(number, -(-len(ranked) // 2))]
    return worst, ranked[len(worst) :][::-1][:number]


def confusion_matrix(outcomes: Sequence[ImageOutcome], num_classes: int) -> np.ndarray:
    """How often an object of the row's class was taken for the column's.

    The surest detections are paired first with the objects on which they lie, whatever the class. Crowds, and the
    detections that lie in them, take no part.

    Returns:
        (K + 1, K + 1) counts. The last column: objects that were missed. The last row: detections of nothing, or of an
        object that a surer one took.
    """
    matrix = np.zeros((num_classes + 1, num_classes + 1), dtype=int)
    for truth, detections, _, _ in outcomes:
        objects = truth[~truth.crowds]
        detections = detections[~_only_in_crowd(truth, detections)]
        partners = pair(bbox_overlaps(detections.bboxes, objects.bboxes), MIN_IOU)
        paired = partners >= 0
        missed = torch.ones(len(objects), dtype=torch.bool)
        missed[partners[paired]] = False
        np.add.at(matrix, (objects.labels[partners[paired]], detections.labels[paired]), 1)
        np.add.at(matrix, (objects.labels[missed], num_classes), 1)
        np.add.at(matrix, (num_classes, detections.labels[~paired]), 1)
    return matrix


def _only_in_crowd(truth: InstanceData, detections: InstanceData) -> Tensor:
    """Which detections lie in a crowd of their class and on no object of it, (D,)."""
    same_class = detections.labels[:, None] == truth.labels
    shares = bbox_overlaps(detections.bboxes, truth.bboxes, mode='iof') * (same_class & truth.crowds)
    overlaps = bbox_overlaps(detections.bboxes, truth.bboxes) * (same_class & ~truth.crowds)
    return (shares >= MIN_IOU).any(dim=1) & ~(overlaps >= MIN_IOU).any(dim=1)
