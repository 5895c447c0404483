"""The graph computes what the detector does, bit for bit where it can."""

import copy

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample

from sparse_rcnn_ext.export.check import run_eager
from sparse_rcnn_ext.export.gathered_rois import GatheredRoIFeatures
from sparse_rcnn_ext.export.graph import DetectionGraph
from sparse_rcnn_ext.export.metadata import describe
from sparse_rcnn_ext.export.runtime.network_input import Batch
from sparse_rcnn_ext.models import RoIFeatures
from tests.export.examples import TINY, build_detector, read_recipe

SIZES = ((60, 96), (96, 50))


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(1))


def predict(detector, images):
    detector = copy.copy(detector)
    detector.clip_boxes = False  # whatever runs a graph clips
    samples = [DetDataSample(metainfo=dict(img_shape=size)) for size in SIZES]
    found = [sample.pred_instances for sample in detector.predict(images, samples, rescale=False)]
    return [torch.stack([getattr(image, name) for image in found]) for name in ('bboxes', 'scores', 'labels')]


@torch.no_grad()
def test_equals_predict(tiny_detector, images):
    boxes, scores, labels = DetectionGraph(tiny_detector, 32)(images, torch.tensor(SIZES))
    expected = predict(tiny_detector, images)
    torch.testing.assert_close(boxes, expected[0], rtol=1e-5, atol=1e-3)
    torch.testing.assert_close(scores, expected[1], rtol=1e-5, atol=1e-6)
    assert torch.equal(labels, expected[2])
    assert boxes.shape == (2, 20, 4) and boxes.dtype == scores.dtype == torch.float32 and labels.dtype == torch.int64
    # Not one of them is the padded image's.
    assert scores[:, 0].min() > 0.1 and len(labels.unique()) > 3


@torch.no_grad()
def test_half_keeps_boxes_and_scores_exact(tiny_detector, images):
    graph = DetectionGraph(tiny_detector, 32, half=True)
    boxes, scores, _ = graph(images, torch.tensor(SIZES))
    expected = predict(tiny_detector, images)
    assert boxes.dtype == scores.dtype == torch.float32
    torch.testing.assert_close(scores, expected[1], rtol=0, atol=0.01)
    assert {value.dtype for value in graph.detector.neck.parameters()} == {torch.float16}
    assert all(value.dtype == torch.float32 for value in tiny_detector.parameters()), 'the detector was changed'
    assert type(tiny_detector.roi_head.roi_features) is RoIFeatures


@torch.no_grad()
def test_stops_where_test_cfg_says(repo_dir, images):
    detector = build_detector(read_recipe(repo_dir, options=TINY | {'model.test_cfg.num_stages': 1}))
    boxes, _, _ = DetectionGraph(detector, 32)(images, torch.tensor(SIZES))
    torch.testing.assert_close(boxes, predict(detector, images)[0], rtol=1e-5, atol=1e-3)
    whole = build_detector(read_recipe(repo_dir, options=TINY))
    assert (boxes - DetectionGraph(whole, 32)(images, torch.tensor(SIZES))[0]).abs().max() > 1


@torch.no_grad()
def test_softmax_gives_each_proposal_once(repo_dir, images):
    cfg = read_recipe(repo_dir, 'ablations/softmax', options=TINY | {'model.test_cfg.max_per_img': 1000})
    detector = build_detector(cfg)
    boxes, scores, labels = DetectionGraph(detector, 32)(images, torch.tensor(SIZES))
    expected = predict(detector, images)
    torch.testing.assert_close(boxes, expected[0], rtol=1e-5, atol=1e-3)
    torch.testing.assert_close(scores, expected[1], rtol=1e-5, atol=1e-6)
    assert torch.equal(labels, expected[2]) and labels.shape == (2, detector.rpn_head.num_proposals)
    assert describe(cfg, detector, cfg.classes, dynamic=True, half=False)['top_k'] == labels.shape[1]


def test_what_a_file_is_compared_with_is_not_clipped(tiny_detector, images):
    batch = Batch(images.numpy(), np.array(SIZES), np.ones((2, 2), np.float32))
    found = run_eager(tiny_detector, batch)
    assert min(image.boxes.min() for image in found) < 0
    assert tiny_detector.clip_boxes


def test_roi_features_are_the_same():
    generator = torch.Generator().manual_seed(2)
    original = RoIFeatures(output_size=3, sampling_ratio=1, featmap_strides=(8, 16), level_eps=4e-8)
    pyramid = [torch.randn(2, 5, *size, generator=generator) for size in ((12, 9), (6, 5))]
    corners = torch.rand(2, 30, 2, generator=generator) * 120 - 20
    boxes = torch.cat([corners, corners + torch.rand(2, 30, 2, generator=generator) * 200], dim=2)
    boxes[0, :5, 2] = boxes[0, :5, 0] - 30  # inside out: no area, and a number all the same
    gathered = GatheredRoIFeatures(original)
    assert set(original.levels(boxes).flatten().tolist()) == {0, 1}
    assert torch.equal(gathered.levels(boxes), original.levels(boxes)) and not gathered.levels(boxes)[0, :5].any()
    expected = original.pool(original.tabulate(pyramid), boxes)
    found = gathered.pool(gathered.tabulate(pyramid), boxes)
    assert found.shape == expected.shape == (60, 9, 5)
    torch.testing.assert_close(found, expected)
    half = [level.half() for level in pyramid]
    assert gathered.pool(gathered.tabulate(half), boxes).dtype == torch.float16


@pytest.mark.parametrize('level_eps', [1e-6, 4e-8, 0.0])
def test_levels_change_at_the_same_area(level_eps):
    """A few roundings off each border; nearer than that, the logarithm of float32 itself is not sure."""
    original = RoIFeatures(level_eps=level_eps)
    borders = (torch.tensor([[2.0], [4], [8]], dtype=torch.float64) - level_eps) * 56
    off = torch.cat([torch.linspace(3e-7, 3e-6, 300), torch.linspace(-3e-6, -3e-7, 300)])
    sides = (borders * (1 + off)).float()
    boxes = torch.stack([torch.zeros_like(sides)] * 2 + [sides] * 2, dim=-1)
    levels = original.levels(boxes)
    assert levels.unique().tolist() == [0, 1, 2, 3]
    assert torch.equal(GatheredRoIFeatures(original).levels(boxes), levels)


def test_attention_is_as_fast_as_before_after_an_export(tiny_detector):
    graph = DetectionGraph(tiny_detector, 32)
    assert torch.backends.mha.get_fastpath_enabled()
    with pytest.raises(KeyError), graph.for_export():
        assert not torch.backends.mha.get_fastpath_enabled() and not torch.is_grad_enabled()
        raise KeyError
    assert torch.backends.mha.get_fastpath_enabled() and torch.is_grad_enabled()
