"""Normal noise of the promised strength."""

import cv2
import numpy as np
import pytest

from sparse_rcnn_ext.datasets.transforms import GaussianNoise

GREY = np.full((100, 120, 3), 128, np.uint8)


def noise(seed: int, image: np.ndarray = GREY, **settings) -> np.ndarray:
    """The result, as signed numbers."""
    np.random.seed(seed)
    result = GaussianNoise(**settings)({'img': image})['img']
    assert result.dtype == np.uint8
    return result.astype(int)


def test_normal_and_independent():
    added = noise(0, std_range=(10.0, 10.0)) - 128
    assert added.mean() == pytest.approx(0, abs=0.2)
    assert added.std() == pytest.approx(10, rel=0.02)
    assert (abs(added) < 10).mean() == pytest.approx(0.6578, abs=0.015)  # normal, rounded: up to 9.5
    np.testing.assert_allclose(np.corrcoef(added.reshape(-1, 3).T), np.eye(3), atol=0.04)
    neighbours = np.corrcoef(added[:, :-1].ravel(), added[:, 1:].ravel())[0, 1]
    assert abs(neighbours) < 0.03


def test_strength_is_drawn_from_the_range():
    strengths = np.array([noise(seed, std_range=(2.0, 15.0)).std() for seed in range(150)])
    assert strengths.min() < 3 and strengths.max() > 14
    assert (strengths > 1.95).all() and (strengths < 15.3).all()
    assert strengths.mean() == pytest.approx(8.5, abs=1)


@pytest.mark.parametrize('level', [0, 255])
def test_does_not_wrap(level):
    image = np.full_like(GREY, level)
    assert abs(noise(1, image, std_range=(15.0, 15.0)) - level).max() < 90
    np.testing.assert_array_equal(image, level)


def test_numpy_seed_decides():
    first = noise(5)
    cv2.randu(np.empty(7, np.uint8), 0, 9)  # OpenCV's own generator moves on
    np.testing.assert_array_equal(first, noise(5))
    assert (first != noise(6)).any()
