"""Names in several scripts.

matplotlib brings DejaVu, which has Cyrillic, and Computer Modern, which has not; neither has Chinese.
"""

import shutil
import warnings
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, fontManager
from mmdet.visualization import DetLocalVisualizer
from mmengine.visualization import Visualizer

from sparse_rcnn_ext.engine.config.run_config import load_config
from sparse_rcnn_ext.engine.hooks import PicturesHook
from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.prediction import draw_detections
from sparse_rcnn_ext.visualization import fonts
from sparse_rcnn_ext.visualization.canvas import Canvas
from sparse_rcnn_ext.visualization.fonts import font_families, font_runs, readable_text
from tests.prediction.pictures import detections

CELL, RED_CELL = 'клетка', '红细胞'
CODES = r'\u7ea2\u7ec6\u80de'


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
    assert [run for run, _ in font_runs(f'{RED_CELL} {CELL}')] == [f'{CODES} {CELL}']
    font_families(RED_CELL[::-1])
    (text,) = told
    assert ' '.join(sorted(RED_CELL)) in text and 'fonts-noto-cjk' in text and CELL[0] not in text
    assert r'codes such as \u7ea2 ' in text and 'SPARSE_RCNN_FONT' in text


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
    """Names of the same letters but for one look different, and what no font has is written as codes."""
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        pictures = [drawn(kind, name, tmp_path / 'a.png') for name in (CELL, CELL.replace('т', 'п'))]
        assert (pictures[0] != pictures[1]).any() and told == []
        pictures = [drawn(kind, name, tmp_path / 'a.png') for name in (RED_CELL, CODES)]
        assert (pictures[0] == pictures[1]).all()
    assert len(told) == 1


def test_numbers_in_place_of_names(tmp_path):
    figure = Figure(figsize=(2, 1.2))
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_yticks([0, 1], [3, 4])
    axes.bar(['a', 'b'], [1, 2])
    with readable_text(figure):
        figure.savefig(tmp_path / 'a.png')
        assert [tick.get_text() for tick in axes.get_yticklabels()] == ['3', '4']
        assert [tick.get_text() for tick in axes.get_xticklabels()] == ['a', 'b']


def test_a_figure_has_its_texts_again_afterwards(tmp_path):
    figure = Figure(figsize=(2, 1.2))
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(title=RED_CELL)
    axes.set_yticks([0], [RED_CELL])
    with readable_text(figure):
        assert (axes.get_title(), axes.get_yticklabels()[0].get_text()) == (CODES, CODES)
    figure.savefig(tmp_path / 'a.svg')
    assert (axes.get_title(), axes.get_yticklabels()[0].get_text()) == (RED_CELL, RED_CELL)


def test_pictures_of_a_test(told, tmp_path, monkeypatch):
    visualizer = DetLocalVisualizer.get_instance(str(tmp_path))
    monkeypatch.setattr(Visualizer, '_instance_dict', {'one': visualizer})  # the hook takes the latest
    visualizer.dataset_meta = dict(classes=(RED_CELL,))
    data = type('Data', (list,), dict(get_data_info=lambda *_: dict(img_path='/data/a.jpg')))([0])
    hook = PicturesHook(test_out_dir=str(tmp_path))
    hook.before_test(SimpleNamespace(visualizer=visualizer, test_dataloader=SimpleNamespace(dataset=data)))
    pictures = []
    for name in (RED_CELL, CODES):
        visualizer.set_image(np.full((120, 200, 3), 90, np.uint8))
        visualizer.draw_texts(name, np.array([20, 60]), font_sizes=9)
        pictures.append(visualizer.get_image())
    assert (pictures[0] == pictures[1]).all() and (pictures[0] != 90).any()
    assert len(told) == 1


def test_the_font_that_is_set_comes_first(poor_base, told, monkeypatch, tmp_path):
    """Whatever its family is called, and whatever else is installed."""
    chosen = tmp_path / 'my.ttf'
    shutil.copy(findfont('DejaVu Sans'), chosen)
    monkeypatch.setenv('SPARSE_RCNN_FONT', str(chosen))
    assert [file for _, file in font_runs(f'a{CELL}')] == [findfont('cmr10'), str(chosen)]
    base, other = font_families(CELL)
    assert base == 'cmr10' and findfont(other) == str(chosen)
    monkeypatch.setattr(fontManager, 'ttflist', [one for one in fontManager.ttflist if 'DejaVu' not in one.name])
    for kind in ('prediction', 'canvas', 'figure'):
        pictures = [drawn(kind, name, tmp_path / 'a.png') for name in (CELL, CELL.replace('т', 'п'))]
        assert (pictures[0] != pictures[1]).any()
    assert told == []


@pytest.mark.parametrize('content', [None, b'no font'])
def test_a_font_file_that_is_none(monkeypatch, tmp_path, content):
    path = tmp_path / 'my.ttf'
    if content:
        path.write_bytes(content)
    monkeypatch.setenv('SPARSE_RCNN_FONT', str(path))
    reason = 'is no font' if content else 'cannot be read (No such file or directory)'
    sentence = f'SPARSE_RCNN_FONT is {path}, which {reason}: set it to a .ttf, .otf or .ttc file, or unset it'
    # Tools say it before they begin.
    for call in (lambda: font_families(RED_CELL), lambda: load_config('configs/_base_/default_runtime.py', {}, None)):
        with pytest.raises(UserError) as error:
            call()
        assert str(error.value) == sentence


def test_an_empty_setting_is_none(monkeypatch):
    monkeypatch.setenv('SPARSE_RCNN_FONT', '')
    assert font_families(RED_CELL) == ['DejaVu Sans']
