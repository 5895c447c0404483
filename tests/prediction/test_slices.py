"""Large images in slices."""

import numpy as np
import pytest

from tests.prediction.pictures import BlobDetector, blob_image, detections

pytest.importorskip('sahi', reason='sahi is not installed: pip install -r requirements/demo.txt')

from sparse_rcnn_ext.prediction.slices import SlicedPredictor

SMALL = [(30, 30, 42, 42), (300, 200, 312, 215), (590, 380, 598, 392), (195, 100, 207, 112), (98, 85, 106, 97)]
LARGE = (320, 20, 520, 180)


def found(detector, image: np.ndarray) -> list[list[float]]:
    (result,) = detector.predict([image])
    return sorted(result.bboxes.tolist())


def test_what_is_too_small_for_the_whole_is_found_in_a_slice():
    """Also where a slice's border cuts it, as the next slice holds it whole; and nothing is found twice."""
    image = blob_image([*SMALL, LARGE], 400, 600)
    detector = BlobDetector(least=0.05)
    assert found(detector, image) == [list(LARGE)]
    assert found(SlicedPredictor(detector, side=100, batch_size=1), image) == sorted(map(list, [*SMALL, LARGE]))


def test_batches_hold_so_many_slices():
    detector = BlobDetector()
    SlicedPredictor(detector, side=100, batch_size=4).predict([np.zeros((180, 260, 3), np.uint8)])
    # 0, 80 and 160 to the right, 0 and 80 down, and the whole.
    assert detector.batches == [4, 3]


def test_a_small_image_is_not_sliced():
    detector = BlobDetector()
    image = blob_image([(30, 30, 42, 42)], 100, 80)
    assert found(SlicedPredictor(detector, side=100), image) == [[30, 30, 42, 42]]
    assert detector.batches == [1]


def test_the_best_of_overlapping_boxes_of_a_class_stays():
    class Views(BlobDetector):
        """Finds in the whole image (80 × 160) what its slices of 100 find again, less surely."""

        def _find(self, image):
            if image.shape[1] == 160:
                return detections((10, 10, 50, 50, 0.6, 0), (100, 10, 150, 50, 0.5, 0))
            return detections((12, 10, 50, 50, 0.7, 0), (12, 10, 50, 50, 0.65, 1), (-9, 60, 30, 99, 0.4, 0))

    (result,) = SlicedPredictor(Views(), side=100).predict([np.zeros((80, 160, 3), np.uint8)])
    rows = [(*box, label) for box, label in zip(result.bboxes.tolist(), result.labels.tolist())]
    # Slices begin at 0 and 60; boxes are cut off at the slice's border.
    assert rows == [
        (12, 10, 50, 50, 0), (72, 10, 110, 50, 0), (12, 10, 50, 50, 1), (72, 10, 110, 50, 1),
        (100, 10, 150, 50, 0), (0, 60, 30, 80, 0), (60, 60, 90, 80, 0),
    ]  # fmt: skip
    assert result.scores.tolist() == pytest.approx([0.7, 0.7, 0.65, 0.65, 0.5, 0.4, 0.4])


@pytest.mark.parametrize(('width', 'kept'), [(20, 2), (22, 1)])
def test_boxes_that_share_more_than_half_are_one(width, kept):
    class Views(BlobDetector):
        def _find(self, image):
            is_slice = image.shape[1] < 160
            return detections((0, 10, 40, 50, 0.7, 0) if is_slice else (0, 10, width, 50, 0.6, 0))

    (result,) = SlicedPredictor(Views(), side=100).predict([np.zeros((80, 160, 3), np.uint8)])
    assert (result.bboxes[:, 0] == 0).sum() == kept


def test_no_detection_at_all():
    (result,) = SlicedPredictor(BlobDetector(), side=100).predict([np.zeros((120, 250, 3), np.uint8)])
    assert result.bboxes.shape == (0, 4) and len(result) == 0
