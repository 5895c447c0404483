"""The runtime where nothing but onnxruntime, numpy and Pillow is installed."""

import json
import os
import subprocess
import sys
import sysconfig
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement
from PIL import Image

from sparse_rcnn_ext.export import Detector

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
        [*map(str, command)], capture_output=True, text=True, timeout=600, check=False, env=environment | variables
    )


def needed_by(*names: str) -> set[str]:
    """These distributions and all that they need, as their metadata say."""
    needed, unseen = set(), set(names)
    while unseen:
        name = unseen.pop()
        needed.add(name)
        wanted = map(Requirement, distribution(name).requires or ())
        unseen |= {one.name for one in wanted if one.marker is None or one.marker.evaluate({'extra': ''})} - needed
    return needed


@pytest.fixture(scope='module')
def bare_python(tmp_path_factory) -> Path:
    """Of an environment with links to what pip would install for onnxruntime, numpy and Pillow."""
    folder = tmp_path_factory.mktemp('bare') / 'venv'
    made = run(sys.executable, '-m', 'venv', '--without-pip', folder)
    if made.returncode:
        pytest.skip(f'python -m venv does not work here: {made.stderr.strip().splitlines()[-1:]}')
    packages = Path(sysconfig.get_path('purelib', vars=dict(base=str(folder))))
    for name in needed_by('onnxruntime', 'numpy', 'Pillow'):
        found = distribution(name)
        # Libraries of a wheel lie beside its packages; scripts lie elsewhere.
        for top in {file.parts[0] for file in found.files} - {'..', '__pycache__'}:
            (packages / top).exists() or (packages / top).symlink_to(found.locate_file(top))
    return folder / ('Scripts' if os.name == 'nt' else 'bin') / 'python'


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
