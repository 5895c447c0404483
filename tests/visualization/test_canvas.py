"""Boxes and labels land where they should, and can be seen."""

import itertools
import warnings

import numpy as np
import pytest
import torch

from sparse_rcnn_ext.visualization.canvas import Canvas
from sparse_rcnn_ext.visualization.palette import PALETTE, ink_on

RED = (255, 0, 0)
# Linear RGB as people without red or green cones see it (Machado et al. 2009, severity 1).
BLINDNESS = {
    'none': np.eye(3),
    'red': [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    'green': [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}


def grey_canvas(**settings) -> Canvas:
    """A panel of 400×200 pixels for an image of 100×50."""
    return Canvas(np.full((50, 100, 3), 128, np.uint8), long_side=400, **settings)


def is_red(pixels: np.ndarray) -> np.ndarray:
    return (pixels[..., 0] > 150) & (pixels[..., 1] < 80) & (pixels[..., 2] < 80)


def test_box_is_drawn_on_its_border_and_nowhere_else():
    canvas = grey_canvas()
    canvas.draw(torch.tensor([[10.0, 15.0, 60.0, 40.0]]), [RED])
    panel = canvas.render()
    assert panel.shape == (200, 400, 3)
    # Four panel pixels for one of the image.
    for edge in (panel[60, 40:241], panel[160, 40:241], panel[60:161, 40], panel[60:161, 240]):
        assert is_red(edge).all()
    changed = (panel != 128).any(axis=-1)
    near = np.zeros_like(changed)
    near[55:166, 35:246] = True
    near[66:155, 46:235] = False
    assert changed[near].any() and not changed[~near].any()
    assert (panel[near].max(axis=-1) < 50).any(), 'a black halo'


def test_dashes_have_gaps():
    solid, dashed = grey_canvas(), grey_canvas()
    box = torch.tensor([[10.0, 15.0, 60.0, 40.0]])
    solid.draw(box, [RED], dashed=[False])
    dashed.draw(box, [RED], dashed=[True])
    share = is_red(dashed.render()).sum() / is_red(solid.render()).sum()
    assert 0.3 < share < 0.8


def test_faint_boxes_have_no_halo():
    canvas = grey_canvas()
    canvas.draw(torch.tensor([[10.0, 15.0, 60.0, 40.0]]), [(200, 200, 200)], alpha=0.5)
    panel = canvas.render()
    assert panel.min() >= 127 and panel.max() > 140


@pytest.mark.parametrize(
    ('box', 'expected'),
    [
        ([-20.0, -20.0, 500.0, 30.0], [0.5, 0.5, 399.5, 120.0]),
        ([90.0, 40.0, 20.0, 10.0], [80.0, 40.0, 360.0, 160.0]),
        ([200.0, 10.0, 300.0, 20.0], [399.5, 40.0, 399.5, 80.0]),
    ],
    ids=['beyond the border', 'corners swapped', 'outside'],
)
def test_odd_boxes_are_drawn_at_the_border_without_warnings(box: list[float], expected: list[float]):
    canvas = grey_canvas()
    np.testing.assert_allclose(canvas.to_panel(torch.tensor([box])), [expected])
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        canvas.draw(torch.tensor([box]), [RED], ['odd'])
    assert is_red(canvas.render()).any()


def test_nothing_to_draw():
    canvas = grey_canvas()
    canvas.draw(torch.zeros(0, 4), [], [])
    assert (canvas.render() == 128).all()


@pytest.mark.parametrize('box', [[0.0, 0.0, 100.0, 50.0], [30.0, 20.0, 50.0, 30.0]], ids=['whole image', 'middle'])
def test_labels_of_equal_boxes_do_not_cover_each_other(box: list[float]):
    canvas = grey_canvas()
    canvas.draw(torch.tensor([box] * 5), PALETTE[:5], list('12345'))
    labels = canvas._taken
    assert len(labels) == 5
    for x1, y1, x2, y2 in labels:
        assert x1 >= 0 and y1 >= 0 and x2 <= 400 and y2 <= 200
    for one, other in itertools.combinations(labels, 2):
        assert (np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])).min() <= 1e-6
    panel = canvas.render()
    for (x1, y1, x2, y2), color in zip(labels, PALETTE):
        patch = panel[int(y1) + 2 : int(y2) - 1, int(x1) + 2 : int(x2) - 1].reshape(-1, 3)
        assert (np.abs(patch - np.array(color)).max(axis=-1) < 3).mean() > 0.4


def test_dimmed_image_is_light_and_pale():
    image = np.zeros((20, 20, 3), np.uint8)
    image[:, 10:] = RED
    panel = Canvas(image, long_side=20, dimmed=True).render()
    assert panel.min() > 120
    assert np.ptp(panel, axis=-1).max() < 60


@pytest.mark.parametrize('blindness', BLINDNESS)
def test_colours_differ_for_everybody(blindness: str):
    linear = (np.array(PALETTE) / 255) ** 2.2
    seen = (linear @ np.transpose(BLINDNESS[blindness])).clip(0, 1) ** (1 / 2.2) * 255
    distances = [np.linalg.norm(one - other) for one, other in itertools.combinations(seen, 2)]
    assert min(distances) > 40


def test_text_has_contrast_on_every_colour():
    def luminance(color: tuple[int, int, int]) -> float:
        scaled = np.array(color) / 255
        linear = np.where(scaled <= 0.04045, scaled / 12.92, ((scaled + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    for color in PALETTE:
        low, high = sorted((luminance(color), luminance(ink_on(color))))
        assert (high + 0.05) / (low + 0.05) > 4.5
