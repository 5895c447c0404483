"""ResNet-50, 100 proposals, 6 stages: the exported file finds what the detector finds."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

from sparse_rcnn_ext.export import Detections, Detector
from sparse_rcnn_ext.export.check import TOLERANCES, run_eager, run_file
from sparse_rcnn_ext.export.comparison import compare
from sparse_rcnn_ext.export.files import ENDINGS, PACKAGES, RUNTIMES, WRITERS, convert_to_openvino
from sparse_rcnn_ext.export.graph import DetectionGraph
from sparse_rcnn_ext.export.metadata import describe
from sparse_rcnn_ext.models import SparseRCNN
from tests.export.examples import build_detector, read_images, read_recipe

pytestmark = pytest.mark.slow
SCALES = ((200, 333), (480, 640), (800, 1333))
TOLERANCE = TOLERANCES['float32']


@pytest.fixture(scope='module')
def recipe(repo_dir: Path) -> Config:
    return read_recipe(repo_dir)


@pytest.fixture(scope='module')
def detector(recipe: Config) -> SparseRCNN:
    return build_detector(recipe)


@pytest.fixture(scope='module')
def written(recipe, detector, tmp_path_factory) -> Callable[[str], Path]:
    """``written(format)``: a file of any size; an OpenVINO file is made of the ONNX file, as its writer does."""
    folder = tmp_path_factory.mktemp('full')
    metadata = describe(recipe, detector, recipe.classes, dynamic=True, half=False)
    assert (metadata['stages'], metadata['proposals']) == (6, 100)

    def write(kind: str) -> Path:
        for name in PACKAGES[kind] + RUNTIMES[kind]:
            pytest.importorskip(name, reason='pip install -r requirements/deploy.txt')
        path = folder / f'full{ENDINGS[kind]}'
        if not path.exists():
            if kind == 'openvino':
                convert_to_openvino(write('onnx'), metadata, path)
            else:
                WRITERS[kind](DetectionGraph(detector, metadata['pad_divisor']), metadata, path)
        return path

    return write


@pytest.fixture(scope='module')
def expected(detector) -> Callable[..., list[Detections]]:
    """``expected(scale, batch)``: what the detector finds, computed once."""
    found: dict[tuple, list[Detections]] = {}

    def run(scale: tuple[int, int], batch) -> list[Detections]:
        key = scale, len(batch.pixels)
        if key not in found:
            found[key] = run_eager(detector, batch)
        return found[key]

    return run


@pytest.mark.parametrize('kind', ['onnx', 'openvino', 'torchscript'])
def test_three_sizes_batch_of_one_and_of_three(written, expected, shared_dir, kind):
    file = Detector(written(kind), threads=1)
    images = read_images(shared_dir)
    for scale in SCALES:
        file.metadata['resize']['scale'] = scale
        for count in (1, 3):
            batch = file.prepare(images[:count])
            theirs = expected(scale, batch)
            assert len(theirs) == count
            # Over the threshold, of many labels, and other ones for another image: equal by nothing but the weights.
            assert all((found.scores > 0.05).all() and len(np.unique(found.labels)) > 5 for found in theirs)
            assert all(not compare(found, theirs[0], TOLERANCE).is_within(TOLERANCE) for found in theirs[1:])
            for ours, found in zip(run_file(file, batch), theirs, strict=True):
                difference = compare(ours, found, TOLERANCE)
                assert difference.is_within(TOLERANCE), difference
                # Both sides of the 100 are looked for, but for a last place that rounding may give to another.
                assert difference.compared >= 190
