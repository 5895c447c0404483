"""Each rule of FilterBoxes at its boundary, in an image of 100 × 100."""

import numpy as np
import pytest

from sparse_rcnn_ext.datasets.transforms import FilterBoxes
from tests.datasets.transforms.samples import make_sample

IMAGE = np.zeros((100, 100, 3), np.uint8)


def kept(*boxes, **settings) -> list[int]:
    return FilterBoxes(**settings)(make_sample(IMAGE, boxes))['gt_bboxes_labels'].tolist()


@pytest.mark.parametrize(
    ('box', 'stays'),
    [
        ((10, 10, 12, 12), True),
        ((10, 10, 11.99, 20), False),
        ((10, 10, 20, 11.99), False),
        # Cut to a side of 2, or a bit less; a quarter is left.
        ((-6, 10, 2, 20), True),
        ((-5, 10, 1.9, 20), False),
        ((98, 50, 106, 60), True),
        ((98.1, 50, 105, 60), False),
    ],
)
def test_smallest_side(box, stays):
    assert kept(box) == [0] * stays


@pytest.mark.parametrize(
    ('box', 'stays'),
    [
        ((10, 10, 50, 12), True),
        ((10, 10, 50.1, 12), False),
        ((10, 10, 12, 50), True),
        ((10, 10, 12, 50.1), False),
        # 30 times as long as wide, but not what is left of it.
        ((10, 70, 12, 130), True),
    ],
)
def test_longest_aspect(box, stays):
    assert kept(box) == [0] * stays


@pytest.mark.parametrize(
    ('box', 'stays'),
    [
        ((-40, 10, 10, 60), True),  # a fifth
        ((-40.1, 10, 10, 60), False),
        ((10, 90, 60, 140), True),
        ((10, 90.1, 60, 140), False),
        ((-25, -25, 25, 25), True),  # a quarter, cut on two sides
        ((-35, -35, 25, 25), False),  # 0.17
        ((-60, -60, -20, -20), False),
        ((100, 10, 120, 30), False),
    ],
)
def test_least_visible_share(box, stays):
    assert kept(box) == [0] * stays


def test_what_stays_is_clipped_and_keeps_its_label_and_flag():
    boxes = [(10, 10, 30, 30), (0, 0, 1, 1), (-10, 40, 20, 120), (90, 90, 190, 190), (5, 5, 15, 25)]
    result = FilterBoxes()(make_sample(IMAGE, boxes, [7, 8, 9, 10, 11], [False, True, True, True, False]))
    np.testing.assert_array_equal(result['gt_bboxes'].numpy(), [(10, 10, 30, 30), (0, 40, 20, 100), (5, 5, 15, 25)])
    assert result['gt_bboxes_labels'].tolist() == [7, 9, 11]
    assert result['gt_ignore_flags'].tolist() == [False, True, False]


def test_settings():
    box = (-50, 10, 50, 14)  # half of it is left: 50 × 4
    assert kept(box) == kept(box, min_side=4, max_aspect=12.5, min_visible=0.5) == [0]
    assert kept(box, min_side=4.01) == kept(box, max_aspect=12.4) == kept(box, min_visible=0.51) == []


def test_not_finite():
    for bad in (np.nan, np.inf, -np.inf):
        for place in range(4):
            box = [10, 10, 40, 40]
            box[place] = bad
            assert kept(box, (50, 50, 60, 60)) == [1]


def test_inverted():
    assert kept((30, 30, 10, 10), (30, 10, 10, 30)) == []


def test_no_box():
    result = FilterBoxes()(make_sample(IMAGE))
    assert result['gt_bboxes'].shape == (0, 4)
    assert result['gt_bboxes_labels'].shape == result['gt_ignore_flags'].shape == (0,)
