"""The mosaic and its warp in one go, against mmdet's Mosaic and then RandomPerspective."""

import cv2
import numpy as np
import pytest
from mmcv.transforms import Compose
from mmengine.registry import TRANSFORMS

from tests.datasets.transforms.samples import make_sample

SIDE = 96
WARP = dict(
    type='sparse_rcnn_ext.RandomPerspective',
    max_rotate_degree=10.0,
    scaling_ratio_range=(0.8, 1.2),
    max_translate_ratio=0.05,
    max_shear_degree=2.0,
    max_perspective=0.1,
    border_val=(114, 114, 114),
    bbox_clip_border=False,
)
SHAPES = ((96, 64), (50, 70), (200, 130), (96, 96), (30, 90))


def picture(shape: tuple[int, int], seed: int) -> np.ndarray:
    return cv2.GaussianBlur(np.random.default_rng(seed).integers(0, 256, (*shape, 3), np.uint8), (5, 5), 0)


def samples(seed: int) -> dict:
    rng = np.random.default_rng(seed)
    found = []
    for number in range(4):
        height, width = SHAPES[rng.integers(len(SHAPES))]
        first = rng.uniform(0, 0.7, (number, 2))
        boxes = np.concatenate([first, first + rng.uniform(0.05, 0.3, (number, 2))], 1) * np.array((width, height) * 2)
        labels = rng.integers(0, 9, number).tolist()
        found.append(make_sample(picture((height, width), seed * 4 + number), boxes, labels, [True] * (number > 2) * 3))
    return found[0] | {'mix_results': found[1:]}


def plain(seed: int, sample: dict, **warp) -> dict:
    steps = [
        dict(type='Mosaic', img_scale=(SIDE, SIDE), pad_val=114, bbox_clip_border=False),
        WARP | warp | dict(border=(-SIDE // 2, -SIDE // 2)),
    ]
    np.random.seed(seed)
    return Compose(steps)(sample)


def at_once(seed: int, sample: dict, transforms=(), **warp) -> dict:
    steps = dict(type='sparse_rcnn_ext.MosaicAndWarp', size=(SIDE, SIDE), warp=WARP | warp, transforms=list(transforms))
    transform = TRANSFORMS.build(steps)
    np.random.seed(seed)
    np.random.uniform()  # mmdet's Mosaic draws whether to do anything
    return transform(sample)


def assert_same_boxes(one: dict, other: dict) -> None:
    np.testing.assert_allclose(one['gt_bboxes'].numpy(), other['gt_bboxes'].numpy(), atol=1e-3)
    for key in ('gt_bboxes_labels', 'gt_ignore_flags'):
        np.testing.assert_array_equal(one[key], other[key])
        assert one[key].dtype == other[key].dtype


@pytest.mark.parametrize('warp', [{}, dict(bbox_clip_border=True), dict(scaling_ratio_range=(0.3, 0.4))])
def test_equals_mosaic_then_warp(warp):
    counts = []
    for seed in range(40):
        expected, found = plain(seed, samples(seed), **warp), at_once(seed, samples(seed), **warp)
        np.testing.assert_array_equal(found['img'], expected['img'])
        assert found['img_shape'] == (SIDE, SIDE)
        assert_same_boxes(found, expected)
        counts.append(len(found['gt_bboxes']))
    assert max(counts) > 3 and min(counts) < max(counts)


@pytest.mark.parametrize(
    ('change', 'most'),
    [(lambda image: 255 - image, 0), (lambda image: cv2.blur(image, (5, 5)), 1)],
    ids=('inverted', 'blurred'),
)
def test_transforms_of_a_part_are_those_of_the_whole(change, most):
    """Images at the final size, so that it matters not whether they are changed before or after their resize."""
    for seed in range(30):
        images = [picture((SIDE, SIDE), seed * 4 + number) for number in range(4)]
        done = [make_sample(change(image)) for image in images]
        expected = plain(seed, done[0] | {'mix_results': done[1:]})['img'].astype(int)
        step = [lambda results: results | {'img': change(results['img'])}]
        raw = [make_sample(image) for image in images]
        found = at_once(seed, raw[0] | {'mix_results': raw[1:]}, step)['img']
        difference = np.abs(found - expected)
        # A blur of a part that the centre cuts off reads what lies beyond it; not so here, where tiles end there too.
        assert difference.max() <= most


def test_images_are_not_written_to():
    def invert(results: dict) -> dict:
        results['img'][:] = 255 - results['img']
        return results

    sample = samples(1)
    parts = [sample, *sample['mix_results']]
    before = [(part['img'].copy(), part['gt_bboxes'].numpy().copy()) for part in parts]
    images, boxes = [part['img'] for part in parts], [part['gt_bboxes'] for part in parts]
    at_once(0, sample, [invert])
    for (image, box), image_after, box_after in zip(before, images, boxes, strict=True):
        np.testing.assert_array_equal(image, image_after)
        np.testing.assert_array_equal(box, box_after.numpy())


def test_only_what_is_seen_goes_through_transforms():
    seen = []

    def watch(results: dict) -> dict:
        seen.append(results['img'].shape[0] * results['img'].shape[1])
        return results

    for seed in range(20):
        images = [make_sample(picture((SIDE, SIDE), number)) for number in range(4)]
        at_once(seed, images[0] | {'mix_results': images[1:]}, [watch])
    assert sum(seen) / 20 < 0.45 * (2 * SIDE) ** 2


def test_beyond_the_horizon():
    """A warp so strong that the result shows more than the canvas's plane: nothing to compare with, but no error."""
    for seed in range(20):
        found = at_once(seed, samples(seed), scaling_ratio_range=(0.05, 0.05), max_perspective=0.15)
        assert found['img'].shape == (SIDE, SIDE, 3)


def test_color_around():
    tiny = [make_sample(np.full((1, SIDE, 3), 200, np.uint8)) for _ in range(4)]
    found = at_once(0, tiny[0] | {'mix_results': tiny[1:]}, border_val=(1, 2, 3))
    assert (found['img'] == (1, 2, 3)).all(axis=-1).mean() > 0.9
    assert found['gt_bboxes'].shape == (0, 4)


def test_takes_four():
    sample = samples(0)
    sample['mix_results'].pop()
    with pytest.raises(ValueError, match='joins 4 images and got 3'):
        at_once(0, sample)
