"""What the page gets back, without a page."""

import json
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

gr = pytest.importorskip('gradio', reason='gradio is not installed: pip install -r requirements/demo.txt')

from sparse_rcnn_ext.demo.handlers import Handlers  # noqa: E402
from sparse_rcnn_ext.demo.page import build_page, describe_limits  # noqa: E402


@pytest.fixture
def handlers(predictor, tmp_path) -> Handlers:
    return Handlers(predictor, tmp_path / 'cache', max_pixels=10_000)


@pytest.fixture
def photo(tmp_path) -> Path:
    noise = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / 'my photo.png')
    return tmp_path / 'my photo.png'


def test_upload(handlers, photo):
    answer = handlers.upload(str(photo), 3, 0.2, False)
    emptied, note, _, picture, caption, rows, results_file, picture_file = answer
    assert emptied is None and 'my photo.png, 90×60 pixels' in note
    assert cv2.imread(picture).shape == (480, 720, 3) and picture_file['value'] == picture
    found = json.loads(Path(results_file['value']).read_text())
    assert len(found) == len(rows) > 0 and f'{len(rows)} detection' in caption
    assert {(entry['category_name'], round(entry['score'], 3)) for entry in found} == {tuple(row[:2]) for row in rows}
    assert Path(picture).name == 'my photo.stage3.jpg' and results_file['interactive']


def test_move(handlers, photo):
    scene = handlers.upload(str(photo), 3, 0.2, False)[2]
    shown = [handlers.move(scene, stage, 0.2, False) for stage in range(4)]
    pictures = [cv2.imread(picture) for picture, *_ in shown]
    for one, other in pairwise(pictures):
        assert (one != other).any()
    assert [files[3]['interactive'] for files in shown] == [False, True, True, True], 'proposals are no detections'
    assert handlers.move(scene, 2, 0.2, False)[0] == shown[2][0], 'the same picture is kept once'


def test_what_is_refused_leaves_the_rest_as_it_is(handlers, tmp_path):
    path = tmp_path / '<img src=x onerror=alert(1)>.jpg'
    path.write_text('no image')
    emptied, note, *others = handlers.upload(str(path), 3, 0.2, False)
    assert emptied is None and 'role="alert"' in note and 'is no image' in note
    assert '<img' not in note, 'a name is text'
    assert len(others) == 6 and all(other == gr.skip() for other in others)
    assert not (tmp_path / 'cache').exists()


def test_a_slider_without_an_image(handlers):
    assert handlers.move(None, 1, 0.3, False) == [gr.skip()] * 5


def test_page_is_for_this_machine_only(predictor, handlers):
    page = build_page(predictor, handlers, 'a <b>config</b>', 0.3, describe_limits(20, 40_000_000))
    assert page.analytics_enabled is False
    config = json.dumps(page.get_config_file(), default=str)
    assert 'a &lt;b&gt;config&lt;/b&gt;' in config and 'a <b>' not in config
    assert 'up to 20 MB and 40 million pixels' in config
    sliders = {block.label: block for block in page.blocks.values() if isinstance(block, gr.Slider)}
    assert (sliders['Stage'].minimum, sliders['Stage'].maximum, sliders['Stage'].value) == (0, 3, 3)
    assert (sliders['Score'].minimum, sliders['Score'].maximum, sliders['Score'].value) == (0, 1, 0.3)
    assert not page.get_api_info()['named_endpoints'], 'for visitors, no interface for programs'
