"""How far two sets of detections of one image are apart, whatever their order."""

from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torchvision.ops import box_iou

from .runtime import Detections


class Tolerance(NamedTuple):
    """What two detections of the same thing may differ by."""

    iou: float
    """Least overlap of the boxes."""
    score: float
    """Most difference of the scores."""
    score_thr: float = 0.05
    """Detections under it are not looked for."""


class Difference(NamedTuple):
    """What a comparison found."""

    compared: int
    """Detections of either side over the score threshold that were looked for on the other."""
    missing: int
    """Those without a partner of the same label within the tolerance."""
    iou: float
    """Least overlap of two partners; 1 without any."""
    score: float
    """Largest difference of the scores, of partners or of equal ranks."""

    def is_within(self, tolerance: Tolerance) -> bool:
        """Whether all have partners, and the scores of equal ranks are as close."""
        return not self.missing and self.score <= tolerance.score


def compare(ours: Detections, theirs: Detections, tolerance: Tolerance) -> Difference:
    """Compare all that either side gives a score over the tolerance's with all that the other gives.

    Both hold as many of the best as their file keeps. Where the last places are so close that either side may have
    chosen another one, these are left out.

    Raises:
        ValueError: If the two do not hold equally many.
    """
    if len(ours.scores) != len(theirs.scores):
        raise ValueError(f'{len(ours.scores)} detections cannot be compared with {len(theirs.scores)}')
    if not len(ours.scores):
        return Difference(0, 0, 1.0, 0.0)
    by_rank = np.abs(np.sort(ours.scores) - np.sort(theirs.scores)).max().item()
    # Not more, or else a large difference would excuse itself.
    doubt = 2 * min(by_rank, tolerance.score)
    compared, missing, worst_iou, worst_score = 0, 0, 1.0, by_rank
    for side, other in ((ours, theirs), (theirs, ours)):
        kept = side.scores > max(tolerance.score_thr, side.scores.min() + doubt)
        iou, score = _partners(Detections(*(values[kept] for values in side)), other)
        is_partner = (iou >= tolerance.iou) & (score <= tolerance.score)
        compared += len(iou)
        missing += int((~is_partner).sum())
        worst_iou = min(worst_iou, *iou[is_partner].tolist(), 1.0)
        worst_score = max(worst_score, *score[is_partner].tolist(), 0.0)
    return Difference(compared, missing, worst_iou, worst_score)


def _partners(some: Detections, others: Detections) -> tuple[np.ndarray, np.ndarray]:
    """Overlap (S,) and difference in score (S,) of each with a partner of its own label; 0 and 1 without one."""
    iou = box_iou(torch.from_numpy(some.boxes), torch.from_numpy(others.boxes)).nan_to_num(0.0).numpy()
    score = np.abs(some.scores[:, None] - others.scores)
    is_same = some.labels[:, None] == others.labels
    iou, score = np.where(is_same, iou, 0.0), np.where(is_same, score, 1.0)
    rows, columns = linear_sum_assignment(score - iou)
    return iou[rows, columns], score[rows, columns]
