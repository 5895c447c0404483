"""What becomes of objects and detections."""

import numpy as np
import pytest

from sparse_rcnn_ext.report.outcomes import confusion_matrix, judge, judge_images, rank_images
from tests.report.boxes import CLASSES, make_found, make_truth

CAT, DOG, OWL = range(3)
HERE, THERE, FAR = (0, 0, 20, 20), (50, 0, 20, 20), (100, 0, 20, 20)


def outcomes_of(truth, found, score_thr=0.3):
    return judge_images(judge(truth, found, CLASSES), score_thr)


def test_found_missed_and_wrong():
    truth = make_truth([(CAT, *HERE), (DOG, *THERE)], [])
    found = make_found([(CAT, 0.9, *HERE), (CAT, 0.8, *HERE), (DOG, 0.1, *THERE)], [(OWL, 0.4, *HERE)])
    first, second = outcomes_of(truth, found)
    assert first.found.tolist() == [True, False] and first.right.tolist() == [True, False]
    assert first.mistakes == 2 and first.f1 == pytest.approx(2 / (2 + 2))
    assert second.mistakes == 1 and second.f1 == 0
    (lower, _) = outcomes_of(truth, found, score_thr=0.05)
    assert lower.mistakes == 1 and lower.f1 == pytest.approx(4 / 5)


def test_worst_and_best():
    objects = [(CAT, *HERE), (CAT, *THERE)]
    truth = make_truth(objects, objects, objects[:1], objects, [], objects)
    right, other = (CAT, 0.9, *HERE), (CAT, 0.8, *THERE)
    found = make_found([right], [right, other], [right], [], [right], [(DOG, 0.9, *FAR)])
    outcomes = outcomes_of(truth, found)
    # 5: two missed and a wrong one; 3: two missed; 0: one missed; 2: one found; 1: two found; 4: without objects.
    assert rank_images(outcomes, 2) == ([5, 3], [1, 2])
    assert rank_images(outcomes, 9) == ([5, 3, 0], [1, 2])
    assert rank_images(outcomes[4:5], 4) == ([], [])
    assert rank_images(outcomes[:1], 4) == ([0], [])


def test_confusion():
    truth = make_truth([(CAT, *HERE), (DOG, *THERE), (OWL, *FAR)], [(CAT, *HERE)], [])
    found = make_found(
        [(DOG, 0.9, *HERE), (CAT, 0.8, *HERE), (DOG, 0.7, *THERE), (OWL, 0.2, *FAR)],
        [],
        [(OWL, 0.6, *HERE)],
    )
    assert confusion_matrix(outcomes_of(truth, found), 3).tolist() == [
        [0, 1, 0, 1],  # a cat taken for a dog, and one missed
        [0, 1, 0, 0],
        [0, 0, 0, 1],  # the owl's detection is below the threshold
        [1, 0, 1, 0],  # the second detection of the cat, and an owl where nothing is
    ]


def test_crowds_take_no_part_in_the_confusion():
    truth = make_truth([(OWL, 0, 0, 90, 90), (CAT, 5, 5, 30, 30)], crowds=((0, 0),))
    inside = (40, 40, 20, 20)
    found = make_found([(OWL, 0.9, *inside), (OWL, 0.8, 100, 0, 20, 20), (CAT, 0.7, 5, 5, 30, 30), (DOG, 0.6, *inside)])
    matrix = confusion_matrix(outcomes_of(truth, found), 3)
    assert matrix.tolist() == [[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 1, 1, 0]]


def test_confusion_without_detections_or_objects():
    truth = make_truth([(CAT, *HERE), (DOG, *THERE)])
    assert confusion_matrix(outcomes_of(truth, make_found([])), 3)[:, 3].tolist() == [1, 1, 0, 0]
    matrix = confusion_matrix(outcomes_of(make_truth([]), make_found([(DOG, 0.9, *HERE)])), 3)
    assert matrix.sum() == 1 and matrix[3, DOG] == 1


def test_confusion_counts_every_object_once():
    rng = np.random.default_rng(0)
    images = [
        [(int(label), *(rng.uniform(0, 60, 2)), *rng.uniform(10, 40, 2)) for label in rng.integers(0, 3, 5)]
        for _ in range(20)
    ]
    found = [
        [
            (int(rng.integers(0, 3)), 1 - 0.1 * number, *(np.array(box[1:]) + rng.normal(0, 3, 4)).clip(1))
            for number, box in enumerate(objects)
        ]
        for objects in images
    ]
    outcomes = outcomes_of(make_truth(*images), make_found(*found))
    matrix = confusion_matrix(outcomes, 3)
    labels = np.bincount([box[0] for objects in images for box in objects], minlength=3)
    np.testing.assert_array_equal(matrix[:3].sum(axis=1), labels)
    assert matrix[:, :3].sum() == sum(len(outcome.detections) for outcome in outcomes)
    assert 10 < np.trace(matrix) < 60
