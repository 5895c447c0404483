"""Every result is one of six blurs, which SciPy computes here."""

from collections import Counter

import numpy as np
import pytest
from scipy import ndimage

from sparse_rcnn_ext.datasets.transforms import RandomBlur

IMAGE = np.random.default_rng(0).integers(0, 256, (24, 28, 3), np.uint8)
BINOMIAL = {3: [1, 2, 1], 5: [1, 4, 6, 4, 1]}


def gaussian(size: int) -> np.ndarray:
    """Pascal's triangle, which is what OpenCV takes for these sizes."""
    blurred = IMAGE.astype(float)
    for axis in (0, 1):
        blurred = ndimage.convolve1d(blurred, np.array(BINOMIAL[size]) / sum(BINOMIAL[size]), axis)
    return blurred


REFERENCES = {
    **{('gaussian', size): gaussian(size) for size in (3, 5)},
    **{('median', size): ndimage.median_filter(IMAGE, (size, size, 1)).astype(float) for size in (3, 5)},
    **{('box', size): ndimage.uniform_filter(IMAGE.astype(float), (size, size, 0)) for size in (3, 5)},
}


def name(blurred: np.ndarray) -> tuple[str, int]:
    """The one reference that it equals inside the border, which libraries continue in ways of their own."""
    inside = (slice(2, -2), slice(2, -2))
    names = [key for key, image in REFERENCES.items() if np.abs(blurred[inside] - image[inside]).max() <= 1]
    assert len(names) == 1
    return names[0]


def test_six_kinds_equally_often():
    np.random.seed(0)
    blur = RandomBlur()
    counts = Counter(name(blur({'img': IMAGE.copy()})['img']) for _ in range(900))
    assert set(counts) == set(REFERENCES)
    assert all(count == pytest.approx(150, abs=45) for count in counts.values())


def test_kernel_sizes():
    np.random.seed(0)
    blur = RandomBlur(kernel_sizes=[5])
    assert {name(blur({'img': IMAGE.copy()})['img'])[1] for _ in range(40)} == {5}


def test_seed_decides_and_input_stays():
    image = IMAGE.copy()
    results = []
    for _ in range(2):
        np.random.seed(3)
        results.append([RandomBlur()({'img': image})['img'] for _ in range(5)])
    np.testing.assert_array_equal(*results)
    np.testing.assert_array_equal(image, IMAGE)
