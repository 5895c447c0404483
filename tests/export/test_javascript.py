"""The examples in JavaScript find what the runtime in Python finds, in Node.js and in a real browser."""

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest
from playwright.sync_api import expect, sync_playwright

from sparse_rcnn_ext.export import Detector
from sparse_rcnn_ext.export.runtime.network_input import make_batch
from tests.export.examples import read_images

CHROMIUM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
SECONDS = 120


@pytest.fixture
def example(repo_dir, tmp_path) -> Path:
    """A copy of the folder, with a model in it; its packages are linked."""
    folder = repo_dir / 'examples/javascript'
    if not (folder / 'node_modules').is_dir():
        pytest.skip('the packages of the examples are not installed: npm install --prefix examples/javascript')
    copy = tmp_path / 'example'
    copy.mkdir()
    for file in folder.glob('*.*'):
        shutil.copy(file, copy)
    (copy / 'node_modules').symlink_to(folder / 'node_modules')
    return copy


@pytest.fixture
def photo(shared_dir, tmp_path) -> tuple[Path, np.ndarray]:
    """A file without a loss, as decoders of JPEG differ, and its pixels."""
    image = read_images(shared_dir, 1)[0][:300, :420]
    assert cv2.imwrite(str(tmp_path / 'photo.png'), image[..., ::-1])
    return tmp_path / 'photo.png', np.ascontiguousarray(image)


def as_lines(file: Path, image: np.ndarray, score_thr: float) -> list[tuple[str, np.ndarray]]:
    """Each detection of the runtime in Python: its name, and score and box."""
    detector = Detector(file, threads=1)
    found = detector(image, score_thr)
    assert len(found.scores) > 5
    rows = zip(found.labels, np.column_stack([found.scores, found.boxes]), strict=True)
    return [(detector.classes[label], numbers) for label, numbers in rows]


def assert_same(lines: list[list[str]], expected: list[tuple[str, np.ndarray]]) -> None:
    """Printed with two digits of a score and one of a pixel."""
    assert len(lines) == len(expected)
    for (name, *numbers), (expected_name, expected_numbers) in zip(lines, expected, strict=True):
        assert name == expected_name
        assert (np.abs(np.float64(numbers) - expected_numbers) < [0.0051] + [0.051] * 4).all()


@pytest.mark.skipif(not shutil.which('node'), reason='node is not installed')
@pytest.mark.parametrize('dynamic', [True, False])
def test_node(export, example, photo, dynamic):
    model = export('onnx', dynamic=dynamic)
    command = ['node', 'node.mjs', str(model), str(photo[0])]
    done = subprocess.run(command, cwd=example, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    # A name may have spaces.
    lines = [line.rsplit(maxsplit=5) for line in done.stdout.splitlines()]
    assert_same(lines, as_lines(model, photo[1], score_thr=0.3))


PROGRAM = """
import {readFile, writeFile} from 'node:fs/promises';
import {prepare, readMetadata} from './detector.mjs';
const metadata = readMetadata(await readFile('model.onnx'));
const image = {data: await readFile('image.rgb'), width: 420, height: 300};
for (const [place, changes] of JSON.parse(await readFile('changes.json')).entries()) {
  const {pixels, shape, size, factors} = prepare(image, {...metadata, ...changes});
  await writeFile(`${place}.pixels`, pixels);
  console.log(JSON.stringify([shape, size, factors]));
}
"""


@pytest.mark.skipif(not shutil.which('node'), reason='node is not installed')
def test_input_of_the_network(export, example, photo):
    """Also of what the tiny recipe has not: pixels that are filled up, another order of channels, and so on."""
    changes = [
        {},
        dict(pad=dict(size=[96, 160], value=[10, 20, 30])),
        dict(resize=dict(scale=[70, 130], keep_ratio=False)),
        dict(channel_order='bgr', mean=[100.0, 110.0, 120.0], std=[1.0, 2.0, 3.0]),
        dict(size=[96, 160], resize=dict(scale=[200, 400], keep_ratio=True)),
        dict(resize=dict(scale=[500, 400], keep_ratio=True)),
    ]
    shutil.copy(export('onnx'), example / 'model.onnx')
    (example / 'image.rgb').write_bytes(photo[1].tobytes())
    (example / 'changes.json').write_text(json.dumps(changes))
    (example / 'program.mjs').write_text(PROGRAM)
    done = subprocess.run(['node', 'program.mjs'], cwd=example, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    metadata = Detector(export('onnx')).metadata
    assert len(lines) == len(changes)
    for place, (change, line) in enumerate(zip(changes, lines, strict=True)):
        expected = make_batch([photo[1]], metadata | change)
        shape, size, factors = json.loads(line)
        assert (tuple(shape), size) == (expected.pixels.shape, expected.sizes[0].tolist())
        np.testing.assert_allclose(factors, expected.factors[0], rtol=1e-6)
        pixels = np.fromfile(example / f'{place}.pixels', np.float32).reshape(shape)
        np.testing.assert_allclose(pixels, expected.pixels, atol=1e-6)


@pytest.fixture
def address(example, export) -> Iterator[str]:
    """Of the folder, served as files and nothing else."""
    shutil.copy(export('onnx'), example / 'model.onnx')
    server = ThreadingHTTPServer(('127.0.0.1', 0), partial(SimpleHTTPRequestHandler, directory=example))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f'http://127.0.0.1:{server.server_port}'
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.skipif(not CHROMIUM, reason='chromium is not installed')
def test_browser(address, example, photo):
    with sync_playwright() as playwright:
        # CI runs as root, where chromium has no sandbox.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=['--no-sandbox'])
        page = browser.new_page()
        page.goto(address)
        status = page.locator('p[role=status]')
        expect(status).to_contain_text('Ready, to tell person, bicycle', timeout=1000 * SECONDS)
        page.locator('input[type=file]').set_input_files(photo[0])
        expect(status).to_contain_text('photo.png, 420 × 300 pixels', timeout=1000 * SECONDS)
        for score_thr in (0.3, 0.1):
            page.get_by_role('slider').fill(str(score_thr))
            lines = [row.get_by_role('cell').all_text_contents() for row in page.get_by_role('row').all()]
            assert_same(lines, as_lines(example / 'model.onnx', photo[1], score_thr))
        assert page.locator('canvas').bounding_box()['height'] > 300
        page.goto(f'{address}/?model=absent.onnx')
        expect(status).to_have_text('absent.onnx: 404, put an exported file there, or name one: ?model=FILE')
        browser.close()
