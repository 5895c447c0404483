"""ResNet-50, 100 proposals, 6 stages: the exported file finds what the detector finds."""

import pytest

from sparse_rcnn_ext.export import Detector
from sparse_rcnn_ext.export.files import ENDINGS, WRITERS
from sparse_rcnn_ext.export.graph import DetectionGraph
from sparse_rcnn_ext.export.metadata import describe
from tests.export.examples import build_detector, read_images, read_recipe
from tests.export.test_files import check_parity


@pytest.mark.slow
@pytest.mark.parametrize('kind', ['onnx', 'openvino'])
def test_three_sizes_batch_of_one_and_of_three(repo_dir, shared_dir, tmp_path, kind):
    pytest.importorskip('onnxscript', reason='pip install -r requirements/deploy.txt')
    pytest.importorskip(dict(onnx='onnxruntime').get(kind, kind), reason='pip install -r requirements/deploy.txt')
    cfg = read_recipe(repo_dir)
    detector = build_detector(cfg)
    metadata = describe(cfg, detector, cfg.classes, dynamic=True, half=False)
    assert (metadata['stages'], metadata['proposals']) == (6, 100)
    path = tmp_path / f'full{ENDINGS[kind]}'
    WRITERS[kind](DetectionGraph(detector, 32), metadata, path)
    file = Detector(path)
    images = read_images(shared_dir)
    for scale in ([200, 333], [480, 640], [800, 1333]):
        file.metadata['resize']['scale'] = scale
        for batch in (images[:1], images):
            # Both sides of each are looked for.
            assert check_parity(file, detector, batch) >= 100 * len(batch)
