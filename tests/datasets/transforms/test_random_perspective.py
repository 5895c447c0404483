"""Image and boxes move as the formulas of the class say, computed here point by point."""

import math

import numpy as np
import pytest
from mmengine.registry import TRANSFORMS

from sparse_rcnn_ext.datasets.transforms import RandomPerspective
from tests.datasets.transforms.samples import make_sample

STILL = {
    'max_rotate_degree': 0.0,
    'max_translate_ratio': 0.0,
    'scaling_ratio_range': (1.0, 1.0),
    'max_shear_degree': 0.0,
    'max_perspective': 0.0,
}
RECIPE = {
    'max_rotate_degree': 10.0,
    'max_translate_ratio': 0.1,
    'scaling_ratio_range': (0.8, 1.2),
    'max_shear_degree': 2.0,
    'max_perspective': 0.1,
}


def matrices(number: int, size: tuple[int, int] = (200, 300), **settings) -> np.ndarray:
    """(number, 3, 3), for results of (height, width)."""
    np.random.seed(0)
    warp = RandomPerspective(**STILL | settings)
    return np.stack([warp._get_random_homography_matrix(*size) for _ in range(number)])


def move(matrix: np.ndarray, x: float, y: float) -> np.ndarray:
    u, v, w = matrix @ (x, y, 1)
    return np.array([u / w, v / w])


def spread(values: list[float], low: float, high: float) -> bool:
    """Whether values lie between the bounds and come near to both, evenly enough."""
    values = np.array(values)
    within = (values >= low - 1e-5).all() and (values <= high + 1e-5).all()
    near = (values.min() < low + 0.05 * (high - low)) and (values.max() > high - 0.05 * (high - low))
    return within and near and abs(values.mean() - (low + high) / 2) < 0.05 * (high - low)


def test_nothing_drawn_nothing_moved():
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    result = RandomPerspective(**STILL)(make_sample(image.copy(), [(5, 6, 40, 30)]))
    np.testing.assert_array_equal(result['img'], image)
    np.testing.assert_allclose(result['gt_bboxes'].numpy(), [(5, 6, 40, 30)], atol=1e-4)


def test_rotation_and_scale_about_the_center():
    found = matrices(400, max_rotate_degree=10.0, scaling_ratio_range=(0.8, 1.2))
    angles, scales = [], []
    for matrix in found:
        np.testing.assert_allclose(move(matrix, 150, 100), (150, 100), atol=1e-3)
        dx, dy = move(matrix, 151, 100) - move(matrix, 150, 100)
        angles.append(math.degrees(math.atan2(dy, dx)))
        scales.append(math.hypot(dx, dy))
        np.testing.assert_allclose(move(matrix, 150, 101) - move(matrix, 150, 100), (-dy, dx), atol=1e-4)
    assert spread(angles, -10, 10) and spread(scales, 0.8, 1.2)
    assert abs(np.corrcoef(angles, scales)[0, 1]) < 0.2


def test_shear_and_shift():
    for matrix in matrices(100, max_shear_degree=2.0):
        np.testing.assert_allclose(move(matrix, 150, 100), (150, 100), atol=1e-3)
    along_x = [move(m, 150, 200)[0] - 150 for m in matrices(400, max_shear_degree=2.0)]
    limit = 100 * math.tan(math.radians(2))
    assert spread(along_x, -limit, limit)
    shifts = np.stack([move(m, 10, 20) - (10, 20) for m in matrices(400, max_translate_ratio=0.1)])
    assert spread(shifts[:, 0], -30, 30) and spread(shifts[:, 1], -20, 20)


def test_perspective():
    """Against the formula, for any point, with px and py read off two points at the border."""
    found_x, found_y = [], []
    for matrix in matrices(400, max_perspective=0.1):
        px = 150 / (move(matrix, 300, 100)[0] - 150) - 1
        py = 100 / (move(matrix, 150, 200)[1] - 100) - 1
        for x, y in [(0, 0), (300, 0), (0, 200), (300, 200), (37, 151), (150, 100)]:
            dx, dy = x - 150, y - 100
            share = 1 / (1 + px * dx / 150 + py * dy / 100)
            np.testing.assert_allclose(move(matrix, x, y), (150 + dx * share, 100 + dy * share), atol=1e-3)
        found_x.append(px)
        found_y.append(py)
    assert spread(found_x, -0.1, 0.1) and spread(found_y, -0.1, 0.1)
    assert abs(np.corrcoef(found_x, found_y)[0, 1]) < 0.2


def test_lines_stay_straight_but_not_parallel():
    matrix = matrices(1, **RECIPE)[0]
    top, bottom = (move(matrix, 300, y) - move(matrix, 0, y) for y in (0, 200))
    turn = top[0] * bottom[1] - top[1] * bottom[0]
    assert abs(turn) / np.linalg.norm(top) / np.linalg.norm(bottom) > 0.005
    start, middle, end = (move(matrix, x, 30) for x in (0, 80, 300))
    one, two = middle - start, end - start
    assert abs(one[0] * two[1] - one[1] * two[0]) < 1e-6 * np.linalg.norm(two) ** 2


@pytest.mark.parametrize('border', [(0, 0), (-60, -40), (20, 30)])
def test_boxes_go_where_their_pixels_go(border):
    """Marks of 9 × 9 pixels with a colour of their own each: the mark is found inside its box, and fills most of it."""
    np.random.seed(3)
    places = [(100, 100), (170, 60), (60, 130), (150, 150), (120, 50), (95, 140)]
    colors = [(250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 0), (250, 0, 250), (0, 250, 250)]
    image = np.full((200, 240, 3), 30, np.uint8)
    boxes = []
    for (x, y), color in zip(places, colors):
        image[y : y + 9, x : x + 9] = color
        boxes.append((x, y, x + 9, y + 9))
    warp = RandomPerspective(**RECIPE, border=border)
    seen = 0
    for _ in range(30):
        result = warp(make_sample(image.copy(), boxes))
        assert result['img'].shape == (200 + 2 * border[1], 240 + 2 * border[0], 3)
        assert result['img_shape'] == result['img'].shape[:2]
        for box, label in zip(result['gt_bboxes'].numpy(), result['gt_bboxes_labels']):
            # Interpolated pixels have the colour's channels in its order, but weaker.
            distance = np.abs(result['img'].astype(int) - colors[label]).max(axis=-1)
            rows, columns = np.nonzero(distance < 90)
            if min(box[0], box[1]) <= 0 or box[2] >= result['img'].shape[1] or box[3] >= result['img'].shape[0]:
                continue
            center = np.array([columns.mean() + 0.5, rows.mean() + 0.5])
            np.testing.assert_allclose(center, [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2], atol=0.8)
            assert box[0] - 0.8 <= columns.min() and columns.max() + 1 <= box[2] + 0.8
            assert box[1] - 0.8 <= rows.min() and rows.max() + 1 <= box[3] + 0.8
            assert len(rows) > 0.5 * (box[2] - box[0]) * (box[3] - box[1])
            seen += 1
    assert seen > 90


def test_box_is_the_one_around_the_four_corners():
    np.random.seed(1)
    state = np.random.get_state()
    warp = RandomPerspective(**RECIPE, bbox_clip_border=False)
    matrix = warp._get_random_homography_matrix(100, 100)
    np.random.set_state(state)
    result = warp(make_sample(np.zeros((100, 100, 3), np.uint8), [(20, 30, 70, 80)]))
    corners = np.stack([move(matrix, x, y) for x in (20, 70) for y in (30, 80)])
    expected = [*corners.min(axis=0), *corners.max(axis=0)]
    np.testing.assert_allclose(result['gt_bboxes'].numpy()[0], expected, atol=1e-3)


def test_clipping_is_a_choice():
    sample = make_sample(np.zeros((100, 100, 3), np.uint8), [(0, 0, 100, 100)])
    settings = STILL | {'scaling_ratio_range': (1.2, 1.2)}
    open_box = RandomPerspective(**settings, bbox_clip_border=False)(
        sample | {'gt_bboxes': sample['gt_bboxes'].clone()}
    )
    np.testing.assert_allclose(open_box['gt_bboxes'].numpy(), [(-10, -10, 110, 110)], atol=1e-3)
    np.testing.assert_allclose(RandomPerspective(**settings)(sample)['gt_bboxes'].numpy(), [(0, 0, 100, 100)])


def test_nothing_passes_the_horizon():
    """At the strongest perspective, up to where a mosaic's boxes reach: half a canvas beyond the canvas."""
    for matrix in matrices(300, size=(100, 100), max_perspective=0.15, border=(-50, -50)):
        for x in (-50, 250):
            for y in (-50, 250):
                assert (matrix @ (x, y, 1))[2] > 0.05


def test_no_box_and_color_around():
    np.random.seed(0)
    warp = RandomPerspective(**RECIPE | {'scaling_ratio_range': (0.5, 0.5)}, border_val=(1, 2, 3))
    result = warp(make_sample(np.full((80, 90, 3), 200, np.uint8)))
    assert result['gt_bboxes'].shape == (0, 4)
    np.testing.assert_array_equal(result['img'][0, 0], (1, 2, 3))
    np.testing.assert_array_equal(result['img'][40, 45], (200, 200, 200))


def test_flags_and_labels_go_along():
    image = np.zeros((100, 100, 3), np.uint8)
    sample = make_sample(image, [(40, 40, 60, 60), (1, 1, 5, 5), (45, 45, 50, 50)], [5, 6, 7], [True, False, False])
    result = RandomPerspective(**STILL | {'scaling_ratio_range': (2.0, 2.0)})(sample)
    assert result['gt_bboxes_labels'].tolist() == [5, 7]
    assert result['gt_ignore_flags'].tolist() == [True, False]


@pytest.mark.parametrize('value', [-0.01, 0.151, float('nan')])
def test_bounds(value):
    with pytest.raises(ValueError, match='max_perspective'):
        RandomPerspective(max_perspective=value)


def test_seed_decides():
    image = np.random.default_rng(0).integers(0, 256, (60, 60, 3), np.uint8)
    warp = TRANSFORMS.build(dict(type='sparse_rcnn_ext.RandomPerspective'))
    results = []
    for seed in (4, 4, 5):
        np.random.seed(seed)
        results.append(warp(make_sample(image.copy(), [(10, 10, 40, 50)])))
    np.testing.assert_array_equal(results[0]['img'], results[1]['img'])
    assert (results[0]['gt_bboxes'].numpy() == results[1]['gt_bboxes'].numpy()).all()
    assert (results[0]['gt_bboxes'].numpy() != results[2]['gt_bboxes'].numpy()).any()
    assert 'max_perspective=0.1' in repr(warp)
