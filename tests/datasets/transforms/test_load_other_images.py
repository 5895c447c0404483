"""Which images are drawn, and mmdet's mosaic of them."""

from collections import Counter

import numpy as np
import pytest
from mmcv.transforms import Compose

from sparse_rcnn_ext.datasets.image_pool import POOL_KEY
from sparse_rcnn_ext.datasets.transforms import LoadOtherImages
from sparse_rcnn_ext.errors import UserError
from tests.datasets.transforms.samples import make_sample

LEVELS = (10, 60, 160, 220, 250)
SHAPES = ((60, 90), (90, 60), (80, 80), (30, 45), (200, 100))


def plain(index: int) -> dict:
    """Image ``index``: one grey level, one box all over it; the second one is to be ignored."""
    height, width = SHAPES[index]
    image = np.full((height, width, 3), LEVELS[index], np.uint8)
    return make_sample(image, [(0, 0, width, height)], [index], [index == 1])


class Pool(list):
    """A data set of plain images; every sample carries what annotations leave behind."""

    def __getitem__(self, index: int) -> dict:
        return plain(super().__getitem__(index)) | {'instances': ['as the file has them']}


def draw(number: int, pool: Pool, transforms=()) -> dict:
    return LoadOtherImages(number, list(transforms))(plain(0) | {POOL_KEY: pool, 'instances': ['of this image']})


def test_draws_every_image_equally_often():
    np.random.seed(0)
    pool = Pool(range(5))
    draws = [tuple(other['gt_bboxes_labels'][0] for other in draw(3, pool)['mix_results']) for _ in range(500)]
    assert {len(numbers) for numbers in draws} == {3}
    counts = Counter(number for numbers in draws for number in numbers)
    assert all(counts[number] == pytest.approx(300, abs=60) for number in range(5))
    assert any(len(set(numbers)) < 3 for numbers in draws), 'with replacement'
    places = np.corrcoef(np.array(draws).T)
    np.testing.assert_allclose(places, np.eye(3), atol=0.15)


def test_transforms_run_on_each_and_annotations_are_gone():
    result = draw(2, Pool([2]), [lambda sample: sample | {'touched': True}])
    assert [other['touched'] for other in result['mix_results']] == [True, True]
    assert 'touched' not in result
    assert not any('instances' in sample for sample in (result, *result['mix_results']))
    assert [other['img'][0, 0, 0] for other in result['mix_results']] == [160, 160]


def test_draws_again_for_what_is_rejected():
    np.random.seed(0)
    odd_only = [lambda sample: sample if sample['gt_bboxes_labels'][0] % 2 else None]
    for _ in range(20):
        assert all(other['gt_bboxes_labels'][0] in (1, 3) for other in draw(3, Pool(range(5)), odd_only)['mix_results'])
    with pytest.raises(RuntimeError, match='rejected 20 images'):
        draw(1, Pool([0, 2, 4]), odd_only)


def test_says_what_data_set_it_needs():
    with pytest.raises(UserError, match=r"LoadOtherImages .* 'sparse_rcnn_ext.CocoDataset'"):
        LoadOtherImages(3, [])(plain(0))


def test_others_may_be_mixed_themselves():
    """The transforms of each other image have the pool too, so a whole recipe may stand there."""
    np.random.seed(0)
    mixed = [
        dict(type='sparse_rcnn_ext.LoadOtherImages', number=1, transforms=[]),
        dict(type='sparse_rcnn_ext.BetaMixUp', pad_val=0),
    ]
    counts = Counter()
    for _ in range(40):
        (other,) = draw(1, Pool(range(5)), [dict(type='RandomApply', transforms=mixed, prob=0.5)])['mix_results']
        counts[len(other['gt_bboxes_labels'])] += 1
    assert set(counts) == {1, 2} and 10 < counts[1] < 30


def test_loads_nothing_where_nothing_is_mixed():
    """Under mmcv's RandomApply: the others are read for as many samples as are mixed."""
    read = []

    class Watched(Pool):
        def __getitem__(self, index: int) -> dict:
            read.append(index)
            return super().__getitem__(index)

    np.random.seed(0)
    transforms = [
        dict(type='sparse_rcnn_ext.LoadOtherImages', number=3, transforms=[]),
        dict(type='sparse_rcnn_ext.HalvedMosaic'),
    ]
    pipeline = Compose([dict(type='RandomApply', transforms=transforms, prob=0.5)])
    boxes = [len(pipeline(plain(0) | {POOL_KEY: Watched(range(5))})['gt_bboxes_labels']) for _ in range(60)]
    assert set(boxes) == {1, 4} and 20 < boxes.count(4) < 40
    assert len(read) == 3 * boxes.count(4)


def mosaic(side: int, pool: Pool, first: dict | None = None) -> dict:
    still = dict(max_rotate_degree=0.0, max_shear_degree=0.0, max_translate_ratio=0.0, max_perspective=0.0)
    pipeline = Compose(
        [
            dict(type='sparse_rcnn_ext.LoadOtherImages', number=3, transforms=[]),
            dict(type='Mosaic', img_scale=(side, side), bbox_clip_border=False),
            dict(
                type='sparse_rcnn_ext.RandomPerspective',
                **still,
                scaling_ratio_range=(1.0, 1.0),
                border=(-side // 2, -side // 2),
                bbox_clip_border=False,
            ),
            dict(type='sparse_rcnn_ext.FilterBoxes', min_side=0.0, max_aspect=1e6, min_visible=0.0),
        ]
    )
    return pipeline((first or plain(0)) | {POOL_KEY: pool})


def test_boxes_of_a_mosaic_cover_their_images():
    np.random.seed(0)
    counts, seen = Counter(), Counter()
    for _ in range(60):
        result = mosaic(120, Pool(range(5)))
        image, boxes, labels = result['img'], result['gt_bboxes'].numpy(), result['gt_bboxes_labels']
        assert image.shape == (120, 120, 3) and result['img_shape'] == (120, 120)
        free = np.full(image.shape[:2], True)
        for box, label, ignored in zip(boxes, labels, result['gt_ignore_flags']):
            # mmdet cuts sizes down to whole pixels: the box may be up to one wider than the image.
            left, top = np.ceil(box[:2]).astype(int)
            right, bottom = np.floor(box[2:]).astype(int)
            inside = image[top:bottom, left:right, 0]
            assert (inside == LEVELS[label]).mean() > 1 - 1.1 / min(inside.shape) - 1.1 / max(inside.shape)
            assert free[top:bottom, left:right].mean() > 0.95, 'images of a mosaic do not overlap'
            free[top:bottom, left:right] = False
            assert ignored == (label == 1)
            seen[label] += 1
        assert (image[free] != 114).any(axis=-1).sum() < 0.02 * free.size, 'what is in no box is padding'
        counts[len(labels)] += 1
    assert set(counts) <= {1, 2, 3, 4} and counts[4] > 20
    assert set(seen) == {0, 1, 2, 3, 4}


def test_tiles_have_the_long_side():
    """A tile that lies wholly inside has it; in the middle, none can. So look at the canvas."""
    np.random.seed(2)
    pipeline = Compose(
        [
            dict(type='sparse_rcnn_ext.LoadOtherImages', number=3, transforms=[]),
            dict(type='Mosaic', img_scale=(120, 120), center_ratio_range=(1.0, 1.0), bbox_clip_border=False),
        ]
    )
    result = pipeline(plain(0) | {POOL_KEY: Pool(range(5))})
    boxes = result['gt_bboxes'].numpy()
    assert len(boxes) == 4
    np.testing.assert_allclose((boxes[:, 2:] - boxes[:, :2]).max(axis=1), 120, atol=1)
    corners = [boxes[0][2:], boxes[1][[0, 3]], boxes[2][[2, 1]], boxes[3][:2]]
    np.testing.assert_allclose(corners, 120, atol=1)


def test_mosaic_without_boxes():
    empty = make_sample(np.full((20, 40, 3), 7, np.uint8))

    class EmptyPool(Pool):
        def __getitem__(self, index: int) -> dict:
            return make_sample(np.full((20, 40, 3), 7, np.uint8))

    result = mosaic(64, EmptyPool([0]), empty)
    assert result['gt_bboxes'].shape == (0, 4) and result['img'].shape == (64, 64, 3)
    assert set(np.unique(result['img'])) == {7, 114}


def cached(size: int, number: int = 3) -> LoadOtherImages:
    return LoadOtherImages(number, [], cache=size)


def pass_through(transform: LoadOtherImages, main: int, pool: Pool) -> list[int]:
    """The numbers of the others that image ``main`` gets."""
    result = transform(plain(main) | {POOL_KEY: pool})
    assert result['gt_bboxes_labels'].tolist() == [main], 'the image itself is the one that was asked for'
    return [int(other['gt_bboxes_labels'][0]) for other in result['mix_results']]


def test_cache_is_bounded_and_filled_from_the_whole_data_set():
    np.random.seed(0)
    transform, pool = cached(6), Pool([1, 2])
    assert set(pass_through(transform, 0, pool)) <= {1, 2} and len(transform._kept) == 4
    for _ in range(30):
        pass_through(transform, 0, pool)
        assert len(transform._kept) <= 6
    assert len(transform._kept) == 6


def test_full_cache_reads_nothing_more():
    class Unreadable(Pool):
        def __getitem__(self, index: int) -> dict:
            raise AssertionError('read anew')

    np.random.seed(0)
    transform = cached(4)
    for _ in range(3):
        pass_through(transform, 2, Pool([2]))
    # Its own image comes to the cache only after the others are drawn.
    assert pass_through(transform, 4, Unreadable([0])) == [2, 2, 2]
    drawn = {number for _ in range(20) for number in pass_through(transform, 4, Unreadable([0]))}
    assert drawn == {2, 4}


def test_cache_uses_every_image_equally_often():
    np.random.seed(0)
    transform, pool = cached(10), Pool(range(5))
    counts, mains = Counter(), [number for _ in range(600) for number in np.random.permutation(5).tolist()]
    for main in mains:
        counts.update(pass_through(transform, main, pool))
    assert all(counts[number] == pytest.approx(3 * 600, rel=0.12) for number in range(5))


def test_cached_images_are_safe_from_what_follows():
    np.random.seed(0)
    transform = cached(1, number=1)
    pass_through(transform, 0, Pool([3]))
    result = transform(plain(2) | {POOL_KEY: Pool([3])})
    result['img'][:] = 0
    result['gt_bboxes'].translate_((500, 500))
    kept = transform(plain(4) | {POOL_KEY: Pool([3])})['mix_results'][0]
    expected = plain(2)
    np.testing.assert_array_equal(kept['img'], expected['img'])
    np.testing.assert_array_equal(kept['gt_bboxes'].numpy(), expected['gt_bboxes'].numpy())


def test_same_seed_same_samples_with_a_cache():
    draws = []
    for seed in (1, 1, 2):
        np.random.seed(seed)
        transform = cached(5)
        draws.append([pass_through(transform, main % 5, Pool(range(5))) for main in range(30)])
    assert draws[0] == draws[1] != draws[2]
