"""tools/demo.py in a real browser."""

import json
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.prediction.conftest import CLASSES, tiny_detector  # noqa: F401  a fixture
from tests.tools.demo_page import SECONDS, Page, listening_at

pytest.importorskip('gradio', reason='gradio is not installed: pip install -r requirements/demo.txt')

CHROMIUM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
START, STOP = 300, 300  # seconds


@pytest.fixture
def photo(tmp_path) -> Path:
    noise = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / 'photo.png')
    return tmp_path / 'photo.png'


@pytest.fixture
def served(tiny_detector, port, repo_dir, python, tool_environment, tmp_path) -> Iterator[subprocess.Popen]:  # noqa: F811
    """The tool, ready at ``port``; its temporary files are in tmp_path/'temporary'."""
    (tmp_path / 'temporary').mkdir()
    options = ['--port', port, '--score-thr', 0.05, '--max-mb', 1, '--max-megapixels', 0.1, '--device', 'cpu']
    process = subprocess.Popen(
        [python, *map(str, [repo_dir / 'tools/demo.py', *tiny_detector, *options])],
        cwd=tmp_path,
        # A proxy that answers nothing: the page must come without one.
        env=tool_environment | dict(TMPDIR=str(tmp_path / 'temporary'), http_proxy='http://127.0.0.1:9'),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        giving_up = threading.Timer(START, process.kill)
        giving_up.start()
        printed = []
        for line in process.stdout:
            printed.append(line)
            if f'Open http://127.0.0.1:{port}' in line:
                break
        else:
            pytest.fail(f'the page did not start: {"".join(printed)}')
        giving_up.cancel()
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def browser():
    if CHROMIUM is None:
        pytest.skip('no Chromium: apt-get install chromium')
    playwright = pytest.importorskip('playwright.sync_api', reason='playwright is not installed')
    # Its default is 5 s, whatever the page's is.
    playwright.expect.set_options(timeout=1000 * SECONDS)
    with playwright.sync_playwright() as driver:
        flags = ['--no-sandbox', '--disable-dev-shm-usage', '--no-proxy-server']
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=flags, timeout=1000 * START)
        yield browser
        browser.close()


def test_upload_and_both_sliders(browser, served, port, photo, tiny_detector, tmp_path):  # noqa: F811
    assert listening_at(port) == {'0100007F'}, 'the loopback interface and no other'
    page = Page(browser, f'http://127.0.0.1:{port}/')
    page.drop(photo)
    page.page.wait_for_selector('#picture img')
    playwright = pytest.importorskip('playwright.sync_api')
    wait = playwright.expect
    wait(page.page.locator('#table [role=grid]')).to_have_attribute('aria-rowcount', '9')
    assert page.text('note') == 'photo.png, 90×60 pixels'
    assert page.text('caption') == '8 detections after stage 3', 'two more lie outside of the image'
    last = page.picture()
    assert last.shape == (480, 720, 3) and page.first_row()[0] in CLASSES

    with page.page.expect_download() as download:
        page.page.click('#json')
    found = json.loads(download.value.path().read_text())
    assert download.value.suggested_filename == 'photo.stage3.json' and len(found) == 8
    best = found[0]
    left, top, width, height = best['bbox']
    row = page.first_row()
    assert row[0] == best['category_name'] == CLASSES[best['category_id'] - 1]
    expected = [best['score'], left, top, left + width, top + height]
    assert [float(cell) for cell in row[1:]] == pytest.approx(expected, abs=0.06)
    with page.page.expect_download() as download:
        page.page.click('#jpeg')
    np.testing.assert_array_equal(cv2.imread(str(download.value.path())), last)

    middle = (found[3]['score'] + found[4]['score']) / 2
    kept = sum(entry['score'] >= round(middle, 2) for entry in found)
    assert 0 < kept < 8
    page.move('score', round(middle, 2))
    wait(page.page.locator('#caption')).to_contain_text(f'{kept} detection')
    wait(page.page.locator('#table [role=grid]')).to_have_attribute('aria-rowcount', str(kept + 1))
    fewer = page.picture()
    assert (fewer != last).any()

    pictures, rows = [fewer], [page.first_row()]
    for stage in (2, 1, 0):
        page.move('stage', stage)
        wait(page.page.locator('#caption')).to_contain_text(f'stage {stage}' if stage else '10 learned proposals')
        pictures.append(page.picture())
        rows.append(page.first_row() if page.row_count() else [])
    for one, other in combinations(range(4), 2):
        assert (pictures[one] != pictures[other]).any() and rows[one] != rows[other]
    assert page.row_count() == 10 and rows[-1][0] == '', 'proposals have no label'
    assert page.page.locator('#json').is_disabled()
    page.page.screenshot(path=tmp_path / 'page.png')
    assert len(np.unique(cv2.imread(str(tmp_path / 'page.png')).reshape(-1, 3), axis=0)) > 1000

    before = page.picture_address()
    for name, content, sentence in (
        ('notes.jpg', b'text', 'notes.jpg is no image that this page can read'),
        ('large.png', png_bytes(400, 300), 'large.png has 400×300 pixels, and this page takes 0.1 million'),
    ):
        (tmp_path / name).write_bytes(content)
        page.drop(tmp_path / name)
        wait(page.page.locator('#note')).to_contain_text(sentence)
    (tmp_path / 'heavy.png').write_bytes(bytes(2_000_000))
    page.drop(tmp_path / 'heavy.png')
    wait(page.page.locator('body')).to_contain_text('exceed the maximum allowed size of 1.0 Mb: "heavy.png"')
    assert page.picture_address() == before, 'what is refused changes nothing else'

    # A page is asked by scripts, too.
    assert page.ask('/gradio_api/upload', 2_000_000) == 413 and page.ask('/gradio_api/upload', 1000) == 200
    assert page.ask(f'/gradio_api/file={tiny_detector[1]}') == 403
    assert page.hosts == {f'127.0.0.1:{port}'}, 'nothing comes from elsewhere'

    kept = list((tmp_path / 'temporary').glob('sparse-rcnn-demo-*/**/photo.*'))
    assert len(kept) > 4, 'the upload, pictures and detections'
    served.send_signal(signal.SIGTERM)
    assert served.wait(STOP) == 0
    # An empty folder is gradio's, made when it is imported.
    left = [path for path in (tmp_path / 'temporary').rglob('*') if path.is_file() or 'demo' in path.name]
    assert not left and not listening_at(port)


def png_bytes(width: int, height: int) -> bytes:
    is_encoded, content = cv2.imencode('.png', np.zeros((height, width, 3), np.uint8))
    assert is_encoded
    return content.tobytes()
