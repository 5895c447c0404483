"""tools/analysis/runtimes.py, with the runtimes that are installed here."""

import importlib.util
import json
import os
import re
import sys
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.export import Detections, Detector
from sparse_rcnn_ext.export.runtime_table import table
from sparse_rcnn_ext.export.runtime_table.kinds import BASE, RUNTIMES, Runtime
from sparse_rcnn_ext.export.runtime_table.table import measure, write_markdown

ROW = re.compile(r'^\| (.+?) \| (.*?) \| `(.+?)` \| (.+?) \| (?:([\d.]+) ×)? \| (.+?) \|$', re.MULTILINE)
EQUAL = re.compile(r'equal: (\d+), IoU ≥ (\d\.\d{5}), scores within (\S+)')


@pytest.fixture(scope='module')
def tool(repo_dir: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location('runtimes', repo_dir / 'tools/analysis/runtimes.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def images() -> list[np.ndarray]:
    return [np.random.default_rng(seed).integers(0, 255, (90, 150, 3), np.uint8) for seed in range(2)]


def test_table(tool, export, images, tmp_path, capsys, monkeypatch):
    """By relative paths, as most give them."""
    monkeypatch.chdir(tmp_path)
    for place, image in enumerate(images):
        assert cv2.imwrite(str(tmp_path / f'{place}.png'), image)
    file = export('onnx', dynamic=False)
    options = ['--rounds', '2', '--threads', '1', '--folder', 'work']
    tool.main([os.path.relpath(file), '.', *options, '--runtimes', 'OpenVINO, of ONNX', 'Core ML'])
    base, openvino, coreml = ROW.findall(capsys.readouterr().out)
    assert (base[0], base[2], base[4]) == (BASE, '.onnx', '1.00')
    assert EQUAL.match(base[3]).groups()[1:] == ('1.00000', '0e+00')
    assert openvino[0] == 'OpenVINO, of ONNX' and float(openvino[4]) > 0
    compared, iou, score = map(float, EQUAL.match(openvino[3]).groups())
    assert compared >= 20 and iou >= 0.999 and score <= 1e-3
    assert (coreml[1], coreml[4]) == ('9.0', '') and coreml[
        3
    ] == f'none: no file {file.stem}.torchscript beside the .onnx'


def test_what_takes_very_long_is_run_by_name_only(tool):
    usual = tool.parse_args(['model.onnx', 'images']).runtimes
    assert [name for name in RUNTIMES if name not in usual] == ['ONNX reference evaluator']
    assert tool.parse_args(['model.onnx', 'images', '--runtimes', 'ONNX reference evaluator']).runtimes


def test_failing_runtimes_are_rows(export, images, tmp_path):
    """One that is not installed, one that dies without a word; the slow one sees the first image only, once."""
    kinds = {
        BASE: RUNTIMES[BASE],
        'absent': Runtime('tract', '.onnx'),
        'dead': Runtime('onnxruntime', '.onnx', program='kinds.py'),
        'slow': Runtime('onnxruntime', '.onnx', is_slow=True),
    }
    _, absent, dead, slow = measure(export('onnx', dynamic=False), images, kinds, tmp_path, 1, 1)
    assert absent.found == "none: ModuleNotFoundError: No module named 'tract'"
    assert absent.version == 'not installed' and absent.ratio is None
    assert dead.found == 'none: ended with exit status 0, without a word of its own'
    assert EQUAL.match(slow.found) and len(list((tmp_path / 'outputs/slow').glob('*.boxes'))) == 1
    assert ROW.search(write_markdown([absent]))[4] == absent.found


def test_node(export, images, repo_dir, tmp_path, monkeypatch):
    place = repo_dir / 'examples/javascript'
    if not (place / 'node_modules').is_dir():
        pytest.skip('the packages of the examples are not installed: npm install --prefix examples/javascript')
    found_at = table._environment
    monkeypatch.setattr(
        table,
        '_environment',
        lambda name, runtime, folder: (
            (['node'], place) if runtime.program == 'alone.mjs' else found_at(name, runtime, folder)
        ),
    )
    kinds = {name: RUNTIMES[name] for name in (BASE, 'onnxruntime-node', 'onnxruntime-web')}
    _, node, web = measure(export('onnx', dynamic=False), images, kinds, tmp_path, 1, 1)
    assert EQUAL.match(node.found) and node.ratio > 0
    assert EQUAL.match(web.found) and web.ratio > 0
    pins = json.loads((place / 'package.json').read_text())['dependencies']
    assert (node.version, web.version) == (pins['onnxruntime-node'], pins['onnxruntime-web'])


@pytest.mark.parametrize('size', [(96, 160), (300, 420)])
def test_python_without_this_package(export, repo_dir, size, tmp_path, monkeypatch):
    """The example of docs/export.md; an image of the network's own size is not resized, and then all is the same."""
    blocks = re.findall(r'```python\n(.*?)```', (repo_dir / 'docs/export.md').read_text(encoding='utf-8'), re.DOTALL)
    (example,) = (block for block in blocks if 'import json' in block)
    image = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
    image = cv2.GaussianBlur(image, (9, 9), 3)
    file = export('onnx', dynamic=True)
    (tmp_path / 'model.onnx').symlink_to(file)
    assert cv2.imwrite(str(tmp_path / 'photo.png'), image[..., ::-1])
    (tmp_path / 'photo.png').rename(tmp_path / 'photo.jpg')
    monkeypatch.chdir(tmp_path)
    found = {}
    exec(example, found)
    detector = Detector(file, threads=1)
    batch = detector.prepare([image])
    is_same = size == (96, 160)
    levels = np.abs(found['images'] - batch.pixels) * np.float32(detector.metadata['std'])[:, None, None]
    assert levels.max() < (1e-4 if is_same else 1.01)
    if is_same:
        boxes, scores, labels = detector.run(batch.pixels, batch.sizes)
        assert np.allclose(found['boxes'], boxes, atol=1e-3) and np.allclose(found['scores'], scores, atol=1e-5)
        assert (found['labels'] == labels).all()
    else:
        assert np.allclose(found['width'] / size[1], batch.factors[0, 0])


def test_wrong_detections_are_told():
    boxes = np.float32([[0, 0, 50, 40], [10, 10, 90, 80]])
    expected = Detections(boxes, np.float32([0.9, 0.8]), np.int64([1, 2]))
    assert table._judge([expected], [expected]) == 'equal: 2, IoU ≥ 1.00000, scores within 0e+00'
    moved = expected._replace(boxes=boxes + 1)
    assert table._judge([moved], [expected]) == 'WRONG: 2 of 2 without a partner'
    fewer = Detections(*(values[:1] for values in expected))
    assert table._judge([fewer], [expected]).startswith('WRONG: 1 detections')


def test_what_cannot_be_installed():
    with pytest.raises(UserError, match=r'^cannot be installed: ERROR: no such thing$'):
        table._install(sys.executable, '-c', 'import sys; sys.exit("Wait\\nERROR: no such thing\\nbye")')
    with pytest.raises(UserError, match=r'^no-such-program is not installed$'):
        table._install('no-such-program')


def test_mistakes(tool, export, tmp_path):
    (tmp_path / 'broken.onnx').write_text('none')
    assert cv2.imwrite(str(tmp_path / 'image.png'), np.zeros((8, 8, 3), np.uint8))
    for file, images, words in (
        (tmp_path / 'image.png', tmp_path, 'image.png is no .onnx file'),
        (tmp_path / 'broken.onnx', tmp_path, 'broken.onnx cannot be opened'),
        (tmp_path / 'broken.onnx', tmp_path / 'nowhere', 'nowhere'),
        (export('onnx', dynamic=True), tmp_path, 'takes any size, which not every runtime can'),
    ):
        with pytest.raises(SystemExit) as stopped:
            tool.main([str(file), str(images), '--folder', str(tmp_path / 'work')])
        error = str(stopped.value)
        assert words in error and '\n' not in error, error
