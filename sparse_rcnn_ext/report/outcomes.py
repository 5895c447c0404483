"""What became of each image's objects and detections."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from mmdet.structures.bbox import bbox_overlaps
from mmengine.structures import InstanceData
from torch import Tensor

from sparse_rcnn_ext.visualization.agreement import agree, pair

from .judgement import Judgement

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
