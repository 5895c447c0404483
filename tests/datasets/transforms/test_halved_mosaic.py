"""Four images in the quarters of a canvas of the first one's size, each with its boxes."""

import copy

import numpy as np
import pytest

from sparse_rcnn_ext.datasets.transforms import HalvedMosaic
from tests.datasets.transforms.samples import draw_rectangles, find_color, make_sample


def join(one: dict, *others: dict, **settings) -> dict:
    return HalvedMosaic(**settings)(one | {'mix_results': list(others)})


def flat(level: int, height: int, width: int, **more) -> dict:
    """An image of one level with a box all over it, unless ``boxes`` says otherwise."""
    image = np.full((height, width, 3), level, np.uint8)
    return make_sample(image, **(dict(boxes=[(0, 0, width, height)], labels=[level]) | more))


@pytest.mark.parametrize('size', [(40, 60), (41, 61), (2, 2), (3, 90)])
def test_same_sizes_fill_the_canvas(size):
    height, width = size
    result = join(*(flat(level, height, width) for level in (10, 20, 30, 40)), min_size=0.5)
    y, x = height // 2, width // 2
    expected = np.empty((height, width), int)
    expected[:y, :x], expected[:y, x:], expected[y:, :x], expected[y:, x:] = 10, 20, 30, 40
    same = result['img'] == expected[..., None]
    if height % 2 == 0:
        assert same.all()
    # An odd side splits into unequal halves, and what keeps its aspect leaves a pixel of one free.
    assert (result['img'][~same] == 114).all() and same.mean() > 0.6
    assert result['img'].dtype == np.uint8 and result['img'].shape == (height, width, 3)
    assert result['img_shape'] == (height, width)
    assert result['gt_bboxes_labels'].tolist() == [10, 20, 30, 40]
    for (left, top, right, bottom), label in zip(result['gt_bboxes'].numpy().astype(int), (10, 20, 30, 40)):
        assert (result['img'][top:bottom, left:right] == label).all()
        assert (result['img'] == label).all(axis=-1).sum() == (bottom - top) * (right - left)
    assert 'mix_results' not in result


def test_each_touches_the_middle():
    """A wide one, a high one, a small and a large one, in the quarters of 30 × 50 pixels of a portrait."""
    one, wide = flat(10, 100, 60), flat(20, 20, 100)
    high, small = flat(30, 400, 40), flat(40, 5, 3)
    result = join(one, wide, high, small, pad_val=7)
    np.testing.assert_array_equal(
        result['gt_bboxes'].numpy(), [(0, 0, 30, 50), (30, 44, 60, 50), (25, 50, 30, 100), (30, 50, 60, 100)]
    )
    expected = np.full((100, 60), 7)
    expected[:50, :30], expected[44:50, 30:], expected[50:, 25:30], expected[50:, 30:] = 10, 20, 30, 40
    np.testing.assert_array_equal(result['img'], np.repeat(expected[..., None], 3, axis=2))


@pytest.mark.parametrize('seed', range(25))
def test_boxes_hold_their_objects(seed):
    """Every rectangle is where its box says, and reaches each side of it."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(13).tolist()
    counts = [3, *rng.integers(0, 4, 3).tolist()]
    samples = [draw_rectangles(rng, [labels.pop() for _ in range(count)]) for count in counts]
    result = join(*samples)
    assert result['img'].shape == samples[0]['img'].shape and result['img'].dtype == np.uint8
    assert len(result['gt_bboxes']) == sum(counts)
    ignored = dict(zip(result['gt_bboxes_labels'].tolist(), result['gt_ignore_flags'].tolist()))
    assert ignored == {label: label % 2 == 1 for sample in samples for label in sample['gt_bboxes_labels'].tolist()}
    for box, label in zip(result['gt_bboxes'].numpy(), result['gt_bboxes_labels'].tolist()):
        found = np.array(find_color(result['img'], label))
        # A pixel shows what its middle shows; one at an edge shows a mixture.
        assert (box[:2] <= found[:2] + 0.5).all() and (found[2:] - 0.5 <= box[2:]).all()
        assert np.abs(found - box).max() < 2.5


def test_boxes_are_cut_at_the_edge_of_their_image():
    """Past it there is another image, or none."""
    one = flat(10, 40, 40, boxes=[(-10, -10, 50, 20), (45, 3, 60, 9), (30, 30, 90, 90)], labels=[1, 2, 3])
    result = join(one, *(flat(level, 40, 40, boxes=(), labels=()) for level in (20, 30, 40)))
    np.testing.assert_array_equal(result['gt_bboxes'].numpy(), [(0, 0, 20, 10), (15, 15, 20, 20)])
    assert result['gt_bboxes_labels'].tolist() == [1, 3]


def test_small_boxes_are_dropped():
    boxes = [(0, 0, 2, 20), (0, 0, 1.9, 20), (0, 0, 20, 1.9), (5, 5, 9, 9)]
    one = flat(10, 40, 40, boxes=boxes, labels=[1, 2, 3, 4], ignored=[False, True, True, True])
    others = [flat(level, 40, 40, boxes=(), labels=()) for level in (20, 30, 40)]
    result = join(one, *others)
    assert result['gt_bboxes_labels'].tolist() == [1, 4] and result['gt_ignore_flags'].tolist() == [False, True]
    assert join(one, *others, min_size=2.0)['gt_bboxes_labels'].tolist() == [4]


def test_no_boxes_and_no_room():
    empty = [flat(level, 30, 50, boxes=(), labels=()) for level in (10, 20, 30, 40)]
    result = join(*empty)
    assert result['gt_bboxes'].shape == (0, 4) and result['gt_bboxes_labels'].shape == (0,)
    # An upper half of no pixels.
    line = join(*(flat(level, 1, 8) for level in (10, 20, 30, 40)))
    assert line['img'][0, :, 0].tolist() == [30] * 4 + [40] * 4
    assert line['gt_bboxes_labels'].tolist() == [30, 40]


def test_the_samples_stay_as_they_are():
    """The others may be of a cache, and the first of a mixup's partner."""
    rng = np.random.default_rng(0)
    samples = [draw_rectangles(rng, [number]) for number in range(4)]
    before = copy.deepcopy(samples)
    join(*samples)
    for sample, old in zip(samples, before):
        assert sample.keys() == old.keys()
        np.testing.assert_array_equal(sample['img'], old['img'])
        np.testing.assert_array_equal(sample['gt_bboxes'].numpy(), old['gt_bboxes'].numpy())


def test_refuses_another_number_of_images():
    one = flat(10, 8, 8)
    for count in (0, 2, 4):
        with pytest.raises(ValueError, match=rf'joins 4 images and got {count + 1}: put LoadOtherImages\(number=3\)'):
            join(one, *[one] * count)
