"""Two images in shares of a Beta distribution, with the boxes of both."""

import numpy as np
import pytest

from sparse_rcnn_ext.datasets.transforms import BetaMixUp
from tests.datasets.transforms.samples import make_sample


def mix(one: dict, *others: dict, **settings) -> dict:
    return BetaMixUp(**settings)(one | {'mix_results': list(others)})


def shares(number: int, **settings) -> np.ndarray:
    """The share of the first image, measured on a white one that is mixed with a black one."""
    np.random.seed(0)
    white, black = np.full((1, 1, 3), 255, np.uint8), np.zeros((1, 1, 3), np.uint8)
    return np.array(
        [mix(make_sample(white), make_sample(black), **settings)['img'][0, 0, 0] / 255 for _ in range(number)]
    )


@pytest.mark.parametrize(('alpha', 'beta'), [(8.0, 8.0), (2.0, 6.0)])
def test_moments(alpha, beta):
    found = shares(4000, alpha=alpha, beta=beta)
    total = alpha + beta
    assert found.mean() == pytest.approx(alpha / total, abs=0.01)
    assert found.var() == pytest.approx(alpha * beta / total**2 / (total + 1), rel=0.08)


def test_default_is_8_8():
    np.testing.assert_array_equal(shares(50), shares(50, alpha=8.0, beta=8.0))


def test_pixels_and_boxes_of_both():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, 30, 40, 3), np.uint8)
    one = make_sample(images[0], [(1, 2, 10, 20), (3, 3, 5, 5)], [4, 5], [False, True])
    other = make_sample(images[1], [(0, 0, 40, 30)], [6], [True])
    np.random.seed(7)
    result = mix(one, other)
    # The share that fits best, by least squares, explains every pixel to within rounding.
    difference = images[0].astype(float) - images[1]
    share = (difference * (result['img'] - images[1].astype(float))).sum() / (difference**2).sum()
    assert 0.1 < share < 0.9
    np.testing.assert_allclose(result['img'], share * images[0] + (1 - share) * images[1], atol=0.6)
    np.testing.assert_array_equal(result['gt_bboxes'].numpy(), [(1, 2, 10, 20), (3, 3, 5, 5), (0, 0, 40, 30)])
    assert result['gt_bboxes_labels'].tolist() == [4, 5, 6]
    assert result['gt_ignore_flags'].tolist() == [False, True, True]
    assert 'mix_results' not in result


def test_no_boxes():
    image = np.zeros((8, 8, 3), np.uint8)
    filled = make_sample(image, [(1, 1, 5, 5)], [3])
    assert mix(make_sample(image), make_sample(image))['gt_bboxes'].shape == (0, 4)
    for result in (mix(dict(filled), make_sample(image)), mix(make_sample(image), filled)):
        assert result['gt_bboxes_labels'].tolist() == [3] and len(result['gt_bboxes']) == 1


def test_refuses_what_does_not_fit():
    one, small = make_sample(np.zeros((8, 8, 3), np.uint8)), make_sample(np.zeros((8, 7, 3), np.uint8))
    for others in ([small], [], [one, one]):
        with pytest.raises(ValueError, match='two images of one size'):
            mix(one, *others)
