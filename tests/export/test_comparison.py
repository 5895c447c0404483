"""Two sets of detections against each other."""

import numpy as np
import pytest

from sparse_rcnn_ext.export import Detections
from sparse_rcnn_ext.export.check import Tolerance, compare

TOLERANCE = Tolerance(iou=0.999, score=1e-3)


def detections(*rows: tuple[float, int, tuple[float, ...]]) -> Detections:
    scores, labels, boxes = zip(*rows, strict=True)
    return Detections(np.float32(boxes), np.float32(scores), np.int64(labels))


FOUR = (
    (0.9, 1, (0, 0, 100, 100)),
    (0.8, 2, (0, 0, 100, 100)),
    (0.5, 1, (200, 0, 300, 100)),
    (0.01, 0, (5, 5, 9, 9)),
)


def test_order_does_not_matter():
    difference = compare(detections(*FOUR), detections(*FOUR[::-1]), TOLERANCE)
    assert difference == (6, 0, 1.0, 0.0)
    assert difference.is_within(TOLERANCE)


@pytest.mark.parametrize(
    'row',
    [(0.5, 2, (200, 0, 300, 100)), (0.5, 1, (200, 0, 300, 101)), (0.502, 1, (200, 0, 300, 100))],
    ids=['label', 'box', 'score'],
)
def test_one_that_differs_is_missing_on_both_sides(row):
    changed = (*FOUR[:2], row, FOUR[3])
    difference = compare(detections(*FOUR), detections(*changed), TOLERANCE)
    assert (difference.compared, difference.missing) == (6, 2)
    assert not difference.is_within(TOLERANCE)


def test_small_differences_are_measured():
    changed = (*FOUR[:2], (0.5005, 1, (200, 0, 300, 100.05)), FOUR[3])
    difference = compare(detections(*FOUR), detections(*changed), TOLERANCE)
    assert difference.is_within(TOLERANCE)
    assert difference.iou == pytest.approx(1 / 1.0005, abs=1e-6)
    assert difference.score == pytest.approx(5e-4, abs=1e-6)


def test_one_detection_is_nobodys_partner_twice():
    twice = (FOUR[0], FOUR[0], *FOUR[2:])
    three = (FOUR[0], (0.9, 1, (400, 0, 500, 100)), *FOUR[2:])
    assert compare(detections(*twice), detections(*three), TOLERANCE).missing == 2


def test_last_places_within_the_rounding_are_left_out():
    last = (*FOUR[:3], (0.3, 3, (5, 5, 50, 50)))
    other = (*FOUR[:3], (0.3 + 1e-6, 4, (60, 60, 90, 90)))
    assert compare(detections(*last), detections(*other), TOLERANCE).is_within(TOLERANCE)
    # A large difference is no rounding.
    other = (*FOUR[:3], (0.4, 4, (60, 60, 90, 90)))
    assert not compare(detections(*last), detections(*other), TOLERANCE).is_within(TOLERANCE)


def test_other_scores_below_the_threshold_count_too():
    other = (*FOUR[:3], (0.02, 0, (5, 5, 9, 9)))
    assert not compare(detections(*FOUR), detections(*other), TOLERANCE).is_within(TOLERANCE)


def test_boxes_that_are_not_numbers_have_no_partner():
    broken = (*FOUR[:2], (0.5, 1, (float('nan'),) * 4), FOUR[3])
    assert compare(detections(*FOUR), detections(*broken), TOLERANCE).missing == 2


def test_nothing_and_unequal_numbers():
    nothing = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))
    assert compare(nothing, nothing, TOLERANCE).is_within(TOLERANCE)
    with pytest.raises(ValueError, match='4 detections cannot be compared with 0'):
        compare(detections(*FOUR), nothing, TOLERANCE)
