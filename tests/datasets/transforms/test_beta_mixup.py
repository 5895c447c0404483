"""Two images in shares of a Beta distribution, with the boxes of both."""

import copy

import numpy as np
import pytest

from sparse_rcnn_ext.datasets.transforms import BetaMixUp
from tests.datasets.transforms.samples import draw_rectangles, find_color, make_sample


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


def test_padding_changes_nothing_at_one_size():
    images = np.random.default_rng(0).integers(0, 256, (2, 30, 40, 3), np.uint8)
    one, other = make_sample(images[0], [(1, 2, 10, 20)]), make_sample(images[1], [(3, 5.5, 40, 30)], [6], [True])
    results = []
    for pad_val in (None, 114):
        np.random.seed(3)
        results.append(mix(one, other, pad_val=pad_val))
    for key in ('img', 'gt_bboxes_labels', 'gt_ignore_flags'):
        np.testing.assert_array_equal(results[0][key], results[1][key])
    np.testing.assert_array_equal(*(result['gt_bboxes'].numpy() for result in results))


@pytest.mark.parametrize(
    ('size', 'laid'),
    [((20, 30), (20, 30)), ((80, 60), (40, 30)), ((40, 160), (15, 60)), ((39, 61), (38, 60)), ((100, 1), (40, 1))],
    ids=['never up', 'half', 'wide', 'rounded', 'a pixel at least'],
)
def test_other_size_is_scaled_down_and_padded(size, laid):
    """White on black, 40 × 60: the other is seen where the result is darker or brighter than the padding makes it."""
    one = make_sample(np.zeros((40, 60, 3), np.uint8), [(1, 2, 10, 20)], [4])
    other = make_sample(np.full((*size, 3), 255, np.uint8), [(0, 0, size[1], size[0])], [6], [True])
    before = copy.deepcopy(other)
    np.random.seed(1)
    result = mix(one, other, pad_val=100)
    assert result['img'].shape == (40, 60, 3) and result['img'].dtype == np.uint8
    share = 1 - result['img'][0, 0, 0] / 255
    expected = np.full((40, 60, 3), 100 * (1 - share))
    expected[: laid[0], : laid[1]] = 255 * (1 - share)
    np.testing.assert_allclose(result['img'], expected, atol=0.8)
    np.testing.assert_allclose(result['gt_bboxes'].numpy(), [(1, 2, 10, 20), (0, 0, laid[1], laid[0])], rtol=1e-6)
    assert result['gt_bboxes_labels'].tolist() == [4, 6] and result['gt_ignore_flags'].tolist() == [False, True]
    np.testing.assert_array_equal(other['img'], before['img'])
    np.testing.assert_array_equal(other['gt_bboxes'].numpy(), before['gt_bboxes'].numpy())


def test_boxes_are_cut_at_the_edge_of_what_is_padded():
    one = make_sample(np.zeros((40, 60, 3), np.uint8))
    other = make_sample(np.full((20, 30, 3), 255, np.uint8), [(-5, 10, 50, 50)])
    np.testing.assert_array_equal(mix(one, other, pad_val=0)['gt_bboxes'].numpy(), [(0, 10, 30, 20)])


@pytest.mark.parametrize('seed', range(20))
def test_boxes_hold_their_objects(seed, monkeypatch):
    """Take one image off the mixture, and every rectangle of the other is where its box says."""
    monkeypatch.setattr(np.random, 'beta', lambda *parameters: 0.5)
    rng = np.random.default_rng(seed)
    one, other = draw_rectangles(rng, [1, 2, 3]), draw_rectangles(rng, [4, 5, 6, 7])
    result = mix(one, other, pad_val=0)
    assert result['img'].shape == one['img'].shape and result['img'].dtype == np.uint8
    np.testing.assert_array_equal(result['gt_bboxes'][:3].numpy(), one['gt_bboxes'].numpy())
    assert result['gt_bboxes_labels'].tolist() == [1, 2, 3, 4, 5, 6, 7]
    seen = 2 * result['img'].astype(int) - one['img']
    for box, label in zip(result['gt_bboxes'][3:].numpy(), (4, 5, 6, 7)):
        found = np.array(find_color(seen, label))
        assert (box[:2] <= found[:2] + 0.5).all() and (found[2:] - 0.5 <= box[2:]).all()
        assert np.abs(found - box).max() < 2.5
