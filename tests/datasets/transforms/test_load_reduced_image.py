"""What is decoded smaller, and that boxes go along."""

import cv2
import numpy as np
import pytest
from mmengine.registry import TRANSFORMS

from sparse_rcnn_ext.errors import UserError
from tests.datasets.transforms.samples import make_sample

BOXES = [(10.0, 20.0, 110.0, 220.0), (0.0, 0.0, 401.0, 301.0)]


@pytest.fixture
def load(tmp_path):
    """``load(long_side, width, height, …)`` writes a photograph and loads it; the result, and the file's pixels."""
    rng = np.random.default_rng(0)

    def run(
        long_side: int, width: int, height: int, suffix: str = '.jpg', listed_width: int | None = None
    ) -> tuple[dict, np.ndarray]:
        image = cv2.resize(rng.integers(0, 256, (4, 5, 3), np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)
        path = str(tmp_path / f'image{suffix}')
        cv2.imwrite(path, image)
        boxes = {key: value for key, value in make_sample(image, BOXES).items() if key.startswith('gt')}
        before = boxes | dict(img_path=path, width=listed_width or width, height=height)
        transform = TRANSFORMS.build(dict(type='sparse_rcnn_ext.LoadReducedImage', long_side=long_side))
        return transform(before), cv2.imread(path)

    return run


@pytest.mark.parametrize(
    ('long_side', 'by'), [(401, 1), (201, 1), (200, 2), (101, 2), (100, 4), (51, 4), (50, 8), (10, 8)]
)
def test_as_small_as_the_long_side_allows(load, long_side, by):
    for width, height in ((401, 301), (301, 401)):
        result, whole = load(long_side, width, height)
        expected = (-(-height // by), -(-width // by))
        assert result['img'].shape == (*expected, 3) and result['img'].dtype == np.uint8
        assert result['img_shape'] == expected and result['ori_shape'] == (height, width)
        factors = np.array([expected[1] / width, expected[0] / height] * 2)
        np.testing.assert_allclose(result['gt_bboxes'].numpy(), BOXES * factors, rtol=1e-5)
        # Away from the last row and column, which the file's size does not fill.
        height, width = (side // by * by for side in (height, width))
        joined = cv2.resize(whole[:height, :width], (width // by, height // by), interpolation=cv2.INTER_AREA)
        assert cv2.PSNR(result['img'][: height // by, : width // by], joined) > 35


def test_no_long_photograph_becomes_shorter(load):
    result, _ = load(640, 1280, 200)
    assert max(result['img'].shape) == 640
    result, _ = load(640, 1279, 200)
    assert result['img'].shape == (200, 1279, 3)


def test_other_formats_are_decoded_whole(load):
    result, whole = load(50, 401, 301, '.png')
    np.testing.assert_array_equal(result['img'], whole)
    assert result['ori_shape'] == result['img_shape'] == (301, 401)
    np.testing.assert_array_equal(result['gt_bboxes'].numpy(), np.array(BOXES, np.float32))


def test_upper_case_suffix(load):
    assert load(200, 401, 301, '.JPG')[0]['img'].shape == (151, 201, 3)


def test_wrong_size_in_the_annotations(load):
    """As before: the file's pixels, and the boxes as they are."""
    result, whole = load(200, 401, 301, listed_width=501)
    np.testing.assert_array_equal(result['img'], whole)
    assert result['ori_shape'] == (301, 401)
    np.testing.assert_array_equal(result['gt_bboxes'].numpy(), np.array(BOXES, np.float32))


def test_boxes_come_first():
    transform = TRANSFORMS.build(dict(type='sparse_rcnn_ext.LoadReducedImage', long_side=64))
    with pytest.raises(UserError, match='put LoadAnnotations before it'):
        transform(dict(img_path='a.jpg', width=1, height=1))
