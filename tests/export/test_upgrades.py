"""Detectors with upgrades, exported: any number of images of any size, and no NMS."""

import copy
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from torch import Tensor

from sparse_rcnn_ext.export import FORMATS, Detector
from sparse_rcnn_ext.export.check import TOLERANCES, compare, run_eager, run_file
from sparse_rcnn_ext.export.graph import DetectionGraph
from sparse_rcnn_ext.export.metadata import describe
from sparse_rcnn_ext.models import SparseRCNN
from tests.export.examples import TINY, build_detector, read_images, read_recipe

ANY = pytest.mark.parametrize('name', ['query-generator', 'fast', 'recursive', 'denoising', 'best', 'all'])
RECURSIVE = {
    'model.roi_head.type': 'sparse_rcnn_ext.RecursiveSparseRoIHead',
    'model.roi_head.bbox_head.attention_cfg': dict(type='sparse_rcnn_ext.PositionedSelfAttention'),
}
# (height, width) of each image of a batch, and the sides to which they are padded.
BATCHES = {
    'one': ([(60, 96)], (64, 96)),
    'one of the batch padded further': ([(60, 96)], (128, 160)),
    'two': ([(60, 96), (96, 50)], (96, 96)),
    'two larger': ([(200, 300), (131, 257)], (224, 320)),
}
Build = Callable[[str], tuple[Config, SparseRCNN]]


@pytest.fixture(scope='module')
def build(repo_dir: Path) -> Build:
    """``build(upgrade)``: its recipe and its detector, tiny, with as few stages as say something of it.

    'all' is the best combination with recursive stages.
    """

    @cache
    def make(name: str) -> tuple[Config, SparseRCNN]:
        options = TINY | {'model.roi_head.num_stages': 3 if name in ('recursive', 'all') else 2}
        if name in ('denoising', 'best', 'all'):
            options['model.denoising.in_channels'] = 32
        if name == 'all':
            options |= RECURSIVE
        cfg = read_recipe(repo_dir, f'upgrades/{"best" if name == "all" else name}', options)
        return cfg, build_detector(cfg, seed=5)

    return make


def make_batch(sizes: list[tuple[int, int]], sides: tuple[int, int]) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    images = torch.zeros(len(sizes), 3, *sides)
    for image, (height, width) in zip(images, sizes, strict=True):
        image[:, :height, :width] = torch.randn(3, height, width, generator=generator)
    return images


def predict(detector: SparseRCNN, images: Tensor, sizes: list[tuple[int, int]]) -> list[Tensor]:
    detector = copy.copy(detector)
    detector.clip_boxes = False  # whatever runs a graph clips
    samples = [DetDataSample(metainfo=dict(img_shape=size)) for size in sizes]
    found = [sample.pred_instances for sample in detector.predict(images, samples, rescale=False)]
    return [torch.stack([getattr(image, name) for image in found]) for name in ('bboxes', 'scores', 'labels')]


@ANY
@pytest.mark.parametrize('batch', BATCHES)
@torch.no_grad()
def test_graph_equals_predict(build, name, batch):
    _, detector = build(name)
    sizes, sides = BATCHES[batch]
    images = make_batch(sizes, sides)
    boxes, scores, labels = DetectionGraph(detector, 32)(images, torch.tensor(sizes))
    expected = predict(detector, images, sizes)
    torch.testing.assert_close(boxes, expected[0], rtol=1e-5, atol=2e-3)
    torch.testing.assert_close(scores, expected[1], rtol=1e-5, atol=1e-6)
    assert torch.equal(labels, expected[2])
    assert boxes.shape == (len(sizes), 20, 4) and len(labels.unique()) > 1 and scores.std() > 0.01


@pytest.mark.parametrize('name', ['query-generator', 'recursive', 'best'])
@torch.no_grad()
def test_half_precision_keeps_boxes_and_scores_near(build, name):
    _, detector = build(name)
    # So wide that a position in float16 would be off by more than the shortest wave.
    sizes, sides = [(60, 1500), (96, 1100)], (96, 1504)
    images = make_batch(sizes, sides)
    graph = DetectionGraph(detector, 32, half=True)
    boxes, scores, _ = graph(images, torch.tensor(sizes))
    assert boxes.dtype == scores.dtype == torch.float32
    dtypes = {name: value.dtype for name, value in graph.detector.roi_head.bbox_head.named_parameters()}
    assert {dtypes[name] for name in dtypes if 'dynamic_layer' in name or 'position' in name} == {torch.float16}
    # The mean (at most 0.0035 in 18 models): how far a single proposal goes that changes its place hangs on the
    # processor. Positions have a test of their own, see tests/models/upgrades/test_recursive_stages.py.
    assert (scores - predict(detector, images, sizes)[1]).abs().mean() < 0.005


@pytest.fixture(scope='module')
def exported(build, made_once) -> Path:
    """An ONNX file for any size of a detector with all of them."""
    for package in FORMATS['onnx'].packages + FORMATS['onnx'].runtimes:
        pytest.importorskip(package, reason='pip install -r requirements/deploy.txt')

    def fill(folder: Path) -> None:
        cfg, detector = build('all')
        metadata = describe(cfg, detector, cfg.classes, dynamic=True, half=False)
        FORMATS['onnx'].write(DetectionGraph(detector, metadata['pad_divisor']), metadata, folder / 'all.onnx')

    return made_once('all upgrades', fill) / 'all.onnx'


@pytest.mark.slow
def test_onnx_equals_predict(exported, build, shared_dir):
    file = Detector(exported, threads=1)
    _, detector = build('all')
    images = read_images(shared_dir, 3)
    for scale in ([96, 160], [200, 333]):
        file.metadata['resize']['scale'] = scale
        for count in (1, 2):
            batch = file.prepare(images[:count])
            theirs = run_eager(detector, batch)
            for ours, found in zip(run_file(file, batch), theirs, strict=True):
                difference = compare(ours, found, TOLERANCES['float32'])
                assert difference.is_within(TOLERANCES['float32']), (scale, count, difference)
                assert difference.compared > 10 and len(np.unique(found.labels)) > 1


@pytest.mark.slow
def test_onnx_has_standard_operators_no_nms_and_nothing_of_training(exported, build):
    model = pytest.importorskip('onnx').load(exported)
    operators = {node.op_type for node in model.graph.node}
    assert 'TopK' in operators and 'NonMaxSuppression' not in operators
    assert {node.domain for node in model.graph.node} == {''} and not model.functions
    shapes = {
        value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in model.graph.output
    }
    assert shapes == {'boxes': ['batch', 20, 4], 'scores': ['batch', 20], 'labels': ['batch', 20]}
    _, detector = build('all')
    names = {tensor.name for tensor in model.graph.initializer}
    assert 'detector.rpn_head.conv.weight' in names
    assert detector.denoising is not None and not any('denoising' in name for name in names)
