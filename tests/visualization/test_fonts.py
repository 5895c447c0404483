"""Names in several scripts.

matplotlib brings DejaVu, which has Cyrillic, and Computer Modern, which has not; neither has Chinese.
"""

import warnings

import cv2
import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, fontManager

from sparse_rcnn_ext.prediction import draw_detections
from sparse_rcnn_ext.visualization import fonts
from sparse_rcnn_ext.visualization.canvas import Canvas
from sparse_rcnn_ext.visualization.fonts import font_families, font_runs, readable_text
from tests.prediction.pictures import detections

CELL, RED_CELL = 'клетка', '红细胞'


@pytest.fixture(autouse=True)
def told(monkeypatch) -> list[str]:
    """What was told in the log; only matplotlib's own fonts are installed."""
    own = [entry for entry in fontManager.ttflist if 'mpl-data' in entry.fname]
    monkeypatch.setattr(fontManager, 'ttflist', own)
    monkeypatch.setattr(fonts, 'findSystemFonts', list)
    monkeypatch.setattr(fonts, '_reported', set())
    told = []
    monkeypatch.setattr(fonts, 'print_log', lambda text, **_: told.append(text))
    clear()
    yield told
    clear()


def clear() -> None:
    for cached in (fonts._families, fonts._fallbacks):
        cached.cache_clear()


@pytest.fixture
def poor_base(monkeypatch) -> None:
    """The base has no Cyrillic."""
    monkeypatch.setattr(fonts, 'BASE', 'cmr10')


def test_what_the_base_has_needs_no_other(told):
    assert font_families(f'{CELL} é ß 0.97\n') == ['DejaVu Sans']
    assert [run for run, _ in font_runs(CELL)] == [CELL]
    assert told == []


def test_what_it_lacks_comes_from_another(poor_base, told):
    assert font_families(f'cell {CELL}')[0] == 'cmr10' and font_families('cell') == ['cmr10']
    latin, cyrillic = font_runs(f'cell{CELL}')
    assert latin == ('cell', findfont('cmr10')) and cyrillic[0] == CELL
    assert {ord(letter) for letter in CELL} <= fonts._characters(cyrillic[1])
    assert told == []


def test_what_no_font_has_is_told_once(told):
    assert font_families(f'{RED_CELL} {CELL}') == ['DejaVu Sans']
    assert font_runs(RED_CELL)[0][0] == RED_CELL
    font_families(RED_CELL[::-1])
    (text,) = told
    assert ' '.join(sorted(RED_CELL)) in text and 'fonts-noto-cjk' in text and CELL[0] not in text


def test_a_font_that_was_installed_since_is_found(poor_base, monkeypatch):
    file = findfont('DejaVu Sans')
    monkeypatch.setattr(fontManager, 'ttflist', [one for one in fontManager.ttflist if one.name == 'cmr10'])
    monkeypatch.setattr(fonts, 'findSystemFonts', lambda: [file, __file__])
    assert font_families(CELL) == ['cmr10', 'DejaVu Sans']


def test_fonts_of_last_resort_are_passed_over(poor_base, monkeypatch):
    entries = [one for one in fontManager.ttflist if one.name in ('cmr10', 'DejaVu Sans')]
    renamed = [one if one.name == 'cmr10' else type(one)(fname=one.fname, name='.LastResort') for one in entries]
    monkeypatch.setattr(fontManager, 'ttflist', renamed)
    assert font_families(CELL) == ['cmr10']


def drawn(kind: str, name: str, path) -> np.ndarray:
    """A picture with a class of this name."""
    box = (10, 60, 180, 110)
    if kind == 'prediction':
        return draw_detections(np.full((120, 200, 3), 90, np.uint8), detections((*box, 0.5, 0)), [name])
    if kind == 'canvas':
        canvas = Canvas(np.full((120, 200, 3), 90, np.uint8), long_side=200)
        canvas.draw(torch.tensor([box]).float(), [(230, 159, 0)], [name])
        return canvas.render()
    figure = Figure(figsize=(2, 1.2))
    FigureCanvasAgg(figure)
    figure.add_subplot().set_yticks([0], [name])
    with readable_text(figure):
        figure.savefig(path)
    return cv2.imread(str(path))


@pytest.mark.parametrize('kind', ['prediction', 'canvas', 'figure'])
def test_every_kind_of_picture(poor_base, told, tmp_path, kind):
    """Names of the same letters but for one look different; empty boxes would look the same."""
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        pictures = [drawn(kind, name, tmp_path / 'a.png') for name in (CELL, CELL.replace('т', 'п'))]
        assert (pictures[0] != pictures[1]).any() and told == []
        drawn(kind, RED_CELL, tmp_path / 'a.png')
    assert len(told) == 1
