"""Resize, pad and warp in one go, against mmdet's three transforms."""

import cv2
import numpy as np
import pytest
from mmcv.transforms import Compose
from mmengine.registry import TRANSFORMS

from tests.datasets.transforms.samples import make_sample
from tests.datasets.transforms.test_mosaic_and_warp import WARP, assert_same_boxes

SIZE = (120, 120)  # mmdet's Resize turns an oblong scale to fit the image
GREY = (114, 114, 114)
BOXES = [(3, 4, 30, 20), (20, 8, 45, 33), (0, 0, 50, 40)]


def picture(width: int, height: int, seed: int) -> np.ndarray:
    """Smooth, as photographs are mostly."""
    return cv2.GaussianBlur(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8), (0, 0), 3)


def both(seed: int, image: np.ndarray, **warp) -> tuple[dict, dict]:
    """At once, and step by step."""
    results = []
    for steps in (
        [dict(type='sparse_rcnn_ext.FitAndWarp', size=SIZE, warp=WARP | warp)],
        [
            dict(type='Resize', scale=SIZE, keep_ratio=True),
            dict(type='Pad', size=SIZE, pad_val=dict(img=GREY)),
            WARP | warp,
        ],
    ):
        pipeline = Compose(steps)
        np.random.seed(seed)
        results.append(pipeline(make_sample(image.copy(), BOXES, [4, 5, 6], [False, True, False])))
    return tuple(results)


@pytest.mark.parametrize('shape', [(120, 70), (60, 120), (120, 120), (240, 150), (130, 97), (121, 500)])
def test_equal_where_nothing_grows(shape):
    for seed in range(25):
        found, expected = both(seed, picture(*shape, seed))
        # The warp of a part counts its pixels from elsewhere, and rounds 1 / 32 of a pixel differently now and then.
        difference = np.abs(found['img'].astype(int) - expected['img'])
        assert difference.mean() < 0.02 and difference.max() <= 8
        assert found['img_shape'] == SIZE
        assert_same_boxes(found, expected)


@pytest.mark.parametrize('shape', [(90, 50), (30, 60), (61, 47)])
def test_near_where_it_grows(shape):
    for seed in range(25):
        found, expected = both(seed, picture(*shape, seed))
        difference = np.abs(found['img'].astype(int) - expected['img'])
        assert difference.mean() < 1.2
        assert_same_boxes(found, expected)


def test_growth_keeps_places():
    """Twice the size and nothing else: cv2.resize says what comes out, away from the border."""
    still = dict(max_rotate_degree=0.0, max_shear_degree=0.0, max_perspective=0.0, max_translate_ratio=0.0)
    image = picture(60, 60, 0)
    found, _ = both(0, image, **still, scaling_ratio_range=(1.0, 1.0))
    expected = cv2.resize(image, SIZE)
    assert np.abs(found['img'].astype(int) - expected)[2:-2, 2:-2].max() <= 2


def test_image_out_of_sight():
    found, expected = both(0, picture(120, 20, 0), scaling_ratio_range=(3.0, 3.0), max_translate_ratio=1.0)
    np.testing.assert_allclose(found['img'].mean(), expected['img'].mean(), atol=0.2)
    transform = TRANSFORMS.build(
        dict(
            type='sparse_rcnn_ext.FitAndWarp',
            size=SIZE,
            warp=WARP | dict(scaling_ratio_range=(30.0, 30.0), border_val=(1, 2, 3)),
        )
    )
    image = transform(make_sample(np.full((10, 120, 3), 9, np.uint8)))['img']
    assert image.shape == (120, 120, 3) and (image == (1, 2, 3)).all()


def test_image_is_not_written_to():
    image = picture(120, 96, 0)
    sample = make_sample(image, BOXES)
    boxes = sample['gt_bboxes']
    before = image.copy()
    TRANSFORMS.build(dict(type='sparse_rcnn_ext.FitAndWarp', size=SIZE, warp=WARP))(sample)
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(boxes.numpy(), np.array(BOXES, np.float32))
