"""The runtime imports neither torch nor mmdet; quick, and beside test_bare_environment.py, which has none installed."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from sparse_rcnn_ext.export import Detector
from tests.time_limits import LIMIT

PROGRAM = """
import json, sys
from importlib.machinery import PathFinder

ABSENT = {'torch', 'torchvision', 'mmdet', 'mmcv', 'mmengine', 'cv2', 'scipy', 'timm'}


class Finder(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition('.')[0] in ABSENT else super().find_spec(name, path, target)


sys.meta_path = [Finder if finder is PathFinder else finder for finder in sys.meta_path]
for name in ABSENT:
    try:
        __import__(name)
    except ModuleNotFoundError:
        pass
    else:
        raise SystemExit(f'{name} is there')

import numpy as np
from PIL import Image
from sparse_rcnn_ext.export import Detector

found = Detector(sys.argv[1])(np.asarray(Image.open(sys.argv[2]).convert('RGB')), score_thr=0)
print(json.dumps([values.tolist() for values in found]))
"""


@pytest.mark.parametrize('kind', ['onnx', 'openvino'])
def test_without_torch_and_mmdet(export, shared_dir, repo_dir, tmp_path, kind):
    path = export(kind)
    image = shared_dir / 'data/coco_mini/val2017/000000011813.jpg'
    command = [sys.executable, '-c', PROGRAM, str(path), str(image)]
    environment = os.environ | {'PYTHONPATH': str(repo_dir), 'PYTHONDONTWRITEBYTECODE': '1'}
    result = subprocess.run(
        command, capture_output=True, text=True, timeout=LIMIT, check=False, cwd=tmp_path, env=environment
    )
    assert result.returncode == 0, result.stderr
    boxes, scores, labels = json.loads(result.stdout)
    expected = Detector(path)(np.asarray(Image.open(image).convert('RGB')), score_thr=0)
    assert labels == expected.labels.tolist()
    np.testing.assert_allclose(scores, expected.scores, atol=1e-5)
    np.testing.assert_allclose(boxes, expected.boxes, atol=1e-2)
