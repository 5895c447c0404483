"""Errors by kind, in cases where there is no doubt what each is."""

import matplotlib
import numpy as np
import pytest

from sparse_rcnn_ext.report.error_split import split_errors
from sparse_rcnn_ext.report.outcomes import judge
from tests.report.boxes import CLASSES, make_found, make_truth

CAT, DOG, OWL = range(3)
HERE, THERE, FAR = (0, 0, 20, 20), (50, 0, 20, 20), (100, 0, 20, 20)
LOW = (0, 0, 20, 8)  # IoU 0.4 with HERE


def split(truth, found, score_thr=0.3):
    result = split_errors(truth, found, score_thr)
    return result, {kind.name: (kind.count, round(kind.ap50_lost, 3)) for kind in result.kinds if kind.count}


@pytest.mark.parametrize(
    ('detections', 'kind', 'lost'),
    [
        # A cat at HERE and a dog at THERE; the dog is always found. Mended, the wrong one becomes the cat's.
        ([(DOG, 0.9, *HERE)], 'class', 0.5),
        ([(CAT, 0.9, *LOW)], 'location', 0.5),
        ([(OWL, 0.9, *LOW)], None, None),  # no owl is there to be found: the class takes no part
        ([], 'missed', 0.5),
    ],
)
def test_object_that_is_not_found(detections, kind, lost):
    truth = make_truth([(CAT, *HERE), (DOG, *THERE)])
    # Surer than the right one, it halves the dog's precision where it is a dog.
    found = make_found([*detections, (DOG, 0.5, *THERE)])
    result, kinds = split(truth, found)
    wrong_dog = any(row[0] == DOG for row in detections)
    assert result.ap50 == pytest.approx(0.25 if wrong_dog else 0.5)
    if kind is None:
        assert kinds == {'missed': (1, 0.5)}
    else:
        # With the wrong dog gone, the right one has full precision too.
        assert kinds == {kind: (1, lost + 0.25 * wrong_dog)}


def test_errors_beside_right_detections():
    truth = make_truth([(CAT, *HERE), (DOG, *THERE)])
    right = [(CAT, 0.6, *HERE), (DOG, 0.5, *THERE)]
    cases = {
        'duplicate': (CAT, 0.55, 0, 0, 20, 18),
        'background': (CAT, 0.9, *FAR),
        'both': (DOG, 0.9, *LOW),
        'class': (DOG, 0.9, *HERE),
        'location': (CAT, 0.55, *LOW),
    }
    for name, row in cases.items():
        found = make_found(sorted([row, *right], key=lambda row: -row[1]))
        result, kinds = split(truth, found)
        # What comes before a right detection of its class halves the precision; what comes after costs nothing.
        lost = 0.25 if row[1] == 0.9 else 0.0
        assert kinds == {name: (1, lost)}, name
        assert result.ap50 == pytest.approx(1 - lost)
        assert result.false_positives_lost == pytest.approx(lost) and result.false_negatives_lost == 0


def test_counts_begin_at_the_threshold():
    truth = make_truth([(CAT, *HERE)])
    found = make_found([(CAT, 0.9, *FAR), (CAT, 0.35, *HERE), (CAT, 0.2, *FAR)])
    assert split(truth, found)[1] == {'background': (1, 0.5)}
    assert split(truth, found, score_thr=0.1)[1] == {'background': (2, 0.5)}
    assert {name: count for name, (count, _) in split(truth, found, score_thr=0.5)[1].items()} == {
        'background': 1,
        'missed': 1,
    }


def test_what_lies_in_a_crowd_is_no_error():
    truth = make_truth([(OWL, 0, 0, 90, 90), (OWL, *FAR)], crowds=((0, 0),))
    found = make_found([(OWL, 0.9, 40, 40, 20, 20), (OWL, 0.8, *FAR)])
    result, kinds = split(truth, found)
    assert result.ap50 == pytest.approx(1) and kinds == {}


def test_images_without_objects_or_detections():
    truth = make_truth([], [(CAT, *HERE)], [(CAT, *HERE)])
    result, kinds = split(truth, make_found([(CAT, 0.9, *HERE)], [], [(CAT, 0.8, *HERE)]))
    assert set(kinds) == {'background', 'missed'} and [count for count, _ in kinds.values()] == [1, 1]
    # One of two found, behind a wrong one: precision 1/2 up to a recall of 1/2.
    assert result.ap50 == pytest.approx(0.5 * 51 / 101)


@pytest.mark.parametrize('rows', [[], [(OWL, 0.9, 40, 40, 20, 20)]], ids=['none', 'in a crowd'])
def test_nothing_found(rows):
    truth = make_truth([(OWL, 0, 0, 90, 90), (OWL, *FAR)], crowds=((0, 0),))
    result, kinds = split(truth, make_found(rows))
    assert result.ap50 == 0 and kinds == {'missed': (1, 1.0)}
    assert (result.false_positives_lost, result.false_negatives_lost) == (0, 1)


def test_some_of_the_images():
    truth = make_truth([(CAT, *HERE)], [(DOG, *HERE)], [(CAT, *HERE)])
    found = make_found([(CAT, 0.9, *HERE)], [(CAT, 0.9, *FAR)], [])
    assert split(truth, found[:1])[1] == {}
    result, kinds = split(truth, found[::2])
    assert kinds == {'missed': (1, 0.495)} and result.ap50 == pytest.approx(51 / 101)


def test_ap_is_cocos():
    rng = np.random.default_rng(1)
    images = [
        [(int(label), *rng.uniform(0, 150, 2), *rng.uniform(15, 40, 2)) for label in rng.integers(0, 3, 4)]
        for _ in range(30)
    ]
    found = [
        sorted(
            [
                (
                    int(box[0] if rng.random() < 0.8 else rng.integers(0, 3)),
                    rng.random(),
                    *(np.array(box[1:]) + rng.normal(0, 4, 4)).clip(1),
                )
                for box in objects
                for _ in range(rng.integers(0, 3))
            ],
            key=lambda row: -row[1],
        )
        for objects in images
    ]
    truth, found = make_truth(*images), make_found(*found)
    expected = judge(truth, found, CLASSES).stats['AP50']
    result = split_errors(truth, found, 0.0)
    assert 0.2 < expected < 0.9
    assert result.ap50 == pytest.approx(expected, abs=0.005)
    assert all(kind.ap50_lost >= 0 for kind in result.kinds)
    missed = sum(kind.count for kind in result.kinds if kind.name == 'missed')
    assert 0 < missed < sum(map(len, images))


def test_matplotlib_stays_as_it_was():
    before = dict(matplotlib.rcParams)
    split(make_truth([(CAT, *HERE)]), make_found([(CAT, 0.9, *HERE)]))
    assert dict(matplotlib.rcParams) == before
