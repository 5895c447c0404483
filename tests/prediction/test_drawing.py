"""Pictures: boxes where they belong, in the colours of their classes."""

import numpy as np
import pytest

from sparse_rcnn_ext.prediction import draw_detections
from sparse_rcnn_ext.visualization.palette import color_of
from tests.prediction.pictures import detections

GREY = 90


def grey(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), GREY, np.uint8)


def test_lines_in_the_class_colour_and_nothing_inside():
    image = grey(200, 300)
    picture = draw_detections(image, detections((100, 80, 220, 160, 0.5, 2)), ['a', 'b', 'c'])
    assert picture.shape == image.shape and picture.dtype == np.uint8
    assert (image == GREY).all(), 'the image itself is left alone'
    for row, column in ((120, 100), (120, 220), (160, 150)):
        assert tuple(picture[row, column, ::-1]) == color_of(2)
    assert (picture[100:155, 110:210] == GREY).all()
    changed = np.argwhere((picture != GREY).any(axis=2))
    assert changed.min(axis=0)[1] == 99 and changed.max(axis=0).tolist() == [161, 221], 'the label is above the box'
    assert 60 < changed.min(axis=0)[0] < 80


def test_no_detection_changes_nothing():
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    np.testing.assert_array_equal(draw_detections(image, detections(), ['a']), image)


def test_the_most_confident_is_on_top():
    both = detections((20, 40, 120, 90, 0.9, 0), (20, 40, 120, 90, 0.4, 1))
    picture = draw_detections(grey(100, 140), both, ['a', 'b'])
    assert tuple(picture[90, 70, ::-1]) == color_of(0)


@pytest.mark.parametrize(
    'box', [(-50, -50, 400, 300), (250, 150, 200, 100), (10, 10, 10, 10), (500, 500, 600, 600), (0, 0, 299, 1)]
)
def test_boxes_beyond_the_border_and_inside_out(box):
    picture = draw_detections(grey(200, 300), detections((*box, 0.5, 0)), ['a'])
    assert picture.shape == (200, 300, 3) and (picture != GREY).any()


def test_lines_and_text_grow_with_the_image():
    def inked(height: int, width: int) -> float:
        box = (0.2 * width, 0.3 * height, 0.8 * width, 0.9 * height, 0.5, 0)
        return (draw_detections(grey(height, width), detections(box), ['name']) != GREY).any(axis=2).mean()

    small, large = inked(1000, 1500), inked(3000, 4500)
    assert large == pytest.approx(small, rel=0.3)


def test_names_in_other_scripts():
    def labelled(name: str) -> np.ndarray:
        return draw_detections(grey(100, 200), detections((20, 40, 180, 90, 0.5, 0)), [name])

    assert (labelled('Größe') != labelled('кошка')).any()
    assert (labelled('é') != labelled('è')).any()


def test_labels_keep_apart():
    """Two boxes at one place: their labels lie at two."""
    same = detections((60, 60, 160, 120, 0.9, 0), (60, 60, 160, 120, 0.8, 1))
    picture = draw_detections(grey(200, 240), same, ['first', 'second'])[..., ::-1]
    # A filled label has rows with long runs of its colour, a line only at the box's edges.
    for label in (0, 1):
        rows = (picture == color_of(label)).all(axis=2).sum(axis=1)
        rows[[59, 60, 61, 119, 120, 121]] = 0
        assert rows.max() > 20
