"""Panels stand unscaled where the layout puts them."""

from pathlib import Path

import cv2
import numpy as np

from sparse_rcnn_ext.visualization.sheet import GAP, HEADING, LEGEND, TITLE, Panel, panel_corners, save_sheet


def test_corners():
    corners, width, height = panel_corners([(20, 30)] * 6, columns=4, group=2)
    assert [left for left, _ in corners] == [GAP, 2 * GAP + 30, 4 * GAP + 60, 5 * GAP + 90, GAP, 2 * GAP + 30]
    assert {top for _, top in corners[:4]} == {HEADING + TITLE}
    assert {top for _, top in corners[4:]} == {HEADING + 2 * TITLE + 20 + GAP}
    assert (width, height) == (6 * GAP + 120, HEADING + 2 * (TITLE + 20 + GAP))


def test_cells_fit_the_biggest_panel():
    corners, width, height = panel_corners([(20, 30), (50, 10), (40, 5)], columns=2, group=1)
    second_row = HEADING + TITLE + 50 + GAP + TITLE
    assert corners == [(GAP, HEADING + TITLE), (GAP + 30 + 2 * GAP, HEADING + TITLE), (GAP, second_row)]
    assert (width, height) == (60 + 4 * GAP, second_row + 40 + GAP)


def test_fewer_panels_than_columns():
    corners, width, _ = panel_corners([(20, 30)], columns=4, group=2)
    assert corners == [(GAP, HEADING + TITLE)] and width == 30 + 2 * GAP


def test_panels_are_written_pixel_by_pixel(tmp_path: Path):
    rng = np.random.default_rng(0)
    shapes = [(120, 170), (90, 170), (120, 33)]
    images = [rng.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in shapes]
    panels = [Panel(image, f'panel {number}') for number, image in enumerate(images)]
    corners, width, height = panel_corners(shapes, columns=2, group=2)
    for name, legend, extra in (('plain', (), 0), ('legend', [('a', (255, 0, 0)), ('b', (0, 0, 255))], LEGEND)):
        path = tmp_path / 'new' / f'{name}.png'
        save_sheet(panels, 2, path, 'A heading', 'A caption', legend, group=2)
        sheet = cv2.imread(str(path))[..., ::-1]
        assert sheet.shape == (height + extra, width, 3)
        for image, (left, top) in zip(images, corners):
            np.testing.assert_array_equal(sheet[top : top + image.shape[0], left : left + image.shape[1]], image)
        assert (sheet[:HEADING] < 100).any(), 'the heading'
        for left, top in corners:
            assert (sheet[top - TITLE : top, left : left + 80] < 100).any(), 'a title above each panel'
        if legend:
            colors = {tuple(pixel) for pixel in sheet[height:].reshape(-1, 3).tolist()}
            assert {(255, 0, 0), (0, 0, 255)} <= colors
