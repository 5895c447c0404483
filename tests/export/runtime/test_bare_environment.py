"""The runtime where nothing but onnxruntime, numpy and Pillow is installed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparse_rcnn_ext.export import Detector
from tests.time_limits import LIMIT

# A new environment and a download.
pytestmark = pytest.mark.slow

PROGRAM = """
import json, sys
from importlib.util import find_spec
import numpy as np
from PIL import Image
from {package} import Detector

detector = Detector(sys.argv[1])
found = detector(np.asarray(Image.open(sys.argv[2]).convert('RGB')), score_thr=0)
print(json.dumps(dict(
    boxes=found.boxes.tolist(), scores=found.scores.tolist(), labels=found.labels.tolist(), classes=detector.classes,
    there=[name for name in ('torch', 'mmdet', 'mmcv', 'mmengine', 'cv2', 'scipy') if find_spec(name)],
)))
"""


def run(*command: object, **variables: str) -> subprocess.CompletedProcess:
    # Neither of pytest's own environment.
    environment = {name: value for name, value in os.environ.items() if name not in ('PYTHONPATH', 'PYTHONHOME')}
    return subprocess.run(
        [*map(str, command)], capture_output=True, text=True, timeout=LIMIT, check=False, env=environment | variables
    )


@pytest.fixture(scope='module')
def bare_python(tmp_path_factory, repo_dir) -> Path:
    folder = tmp_path_factory.mktemp('bare') / 'venv'
    made = run(sys.executable, '-m', 'venv', folder)
    if made.returncode:
        pytest.skip(f'python -m venv does not work here: {made.stderr.strip().splitlines()[-1:]}')
    python = folder / ('Scripts' if os.name == 'nt' else 'bin') / 'python'
    pins = (repo_dir / 'requirements/deploy.txt').read_text().split()
    (onnxruntime,) = [pin for pin in pins if pin.startswith('onnxruntime==')]
    installed = run(python, '-m', 'pip', 'install', '--disable-pip-version-check', onnxruntime, 'numpy', 'Pillow')
    if installed.returncode:
        pytest.skip(f'pip finds no index or cannot install here: {installed.stderr.strip().splitlines()[-1:]}')
    return python


@pytest.mark.parametrize('way', ['package', 'copied folder'])
def test_detections_are_the_same(bare_python, export, shared_dir, repo_dir, tmp_path, way):
    path = export('onnx')
    image = shared_dir / 'data/coco_mini/val2017/000000011813.jpg'
    package, place = 'sparse_rcnn_ext.export', repo_dir
    if way == 'copied folder':
        package, place = 'my_detector', tmp_path
        (tmp_path / package).symlink_to(repo_dir / 'sparse_rcnn_ext/export/runtime', target_is_directory=True)
    program = tmp_path / 'program.py'
    program.write_text(PROGRAM.format(package=package))
    result = run(bare_python, program, path, image, PYTHONPATH=str(place), PYTHONDONTWRITEBYTECODE='1')
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found['there'] == []
    expected = Detector(path)(np.asarray(Image.open(image).convert('RGB')), score_thr=0)
    assert found['classes'] == list(Detector(path).classes)
    assert found['labels'] == expected.labels.tolist()
    np.testing.assert_allclose(found['scores'], expected.scores, atol=1e-5)
    np.testing.assert_allclose(found['boxes'], expected.boxes, atol=1e-2)
