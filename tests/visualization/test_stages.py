"""Proposals followed through the stages."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.datasets import BaseDetDataset
from mmdet.models.detectors import BaseDetector
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy

from sparse_rcnn_ext.models.post_process import top_detections
from sparse_rcnn_ext.visualization import draw_stages, trace_stages
from sparse_rcnn_ext.visualization.canvas import Canvas
from sparse_rcnn_ext.visualization.examples import load_example
from sparse_rcnn_ext.visualization.palette import PALETTE
from sparse_rcnn_ext.visualization.run_pictures import load_model
from sparse_rcnn_ext.visualization.sheet import panel_corners


@pytest.fixture(scope='module')
def model(picture_config, checkpoint: Path) -> BaseDetector:
    return load_model(picture_config, checkpoint)


@pytest.mark.parametrize('index', range(3))
def test_proposals_are_in_pixels_of_the_file(model, dataset, known_proposals, index: int):
    example = load_example(dataset, index)
    trace = trace_stages(model, example)
    assert trace.boxes.shape == (3, 12, 4)
    assert trace.scores.shape == (2, 12, 3)
    height, width = example.image.shape[:2]
    expected = bbox_cxcywh_to_xyxy(known_proposals) * torch.tensor([width, height, width, height])
    torch.testing.assert_close(trace.boxes[0], expected)


def test_last_stage_is_what_the_model_detects(model: BaseDetector, dataset: BaseDetDataset):
    example = load_example(dataset, 2)
    trace = trace_stages(model, example)
    with torch.no_grad():
        detections = model.test_step(example.batch)[0].pred_instances
    boxes, scores, labels = top_detections(trace.scores[-1][None], trace.boxes[-1][None], max_per_img=12)
    torch.testing.assert_close(boxes[0], detections.bboxes)
    torch.testing.assert_close(scores[0], detections.scores)
    assert labels[0].tolist() == detections.labels.tolist()


def test_draw_stages(model: BaseDetector, dataset: BaseDetDataset, tmp_path: Path):
    """The best proposal keeps its colour; every panel has it where the trace says."""
    out = tmp_path / 'stages.png'
    draw_stages(model, dataset, 2, out, max_tracks=1, panel_side=300, max_columns=2)
    corners, width, height = panel_corners([(300, 200)] * 4, columns=2, group=1)
    sheet = cv2.imread(str(out))[..., ::-1].astype(int)
    assert sheet.shape == (height, width, 3)

    example = load_example(dataset, 2)
    trace = trace_stages(model, example)
    best = trace.scores[-1].amax(dim=-1).argmax()
    canvas = Canvas(example.image, 300)
    is_colored = np.abs(sheet - PALETTE[0]).max(axis=-1) < 12
    for boxes, (left, top) in zip(trace.boxes, corners):
        corner = np.array([left, top, left, top])
        x1, y1, x2, y2 = canvas.to_panel(boxes[best][None])[0].round().astype(int) + corner
        assert x2 - x1 > 10 and y2 - y1 > 10
        inside = slice(y1 + 4, y2 - 4), slice(x1 + 4, x2 - 4)
        sides = [is_colored[y2 - 1 : y2 + 2, inside[1]].any(axis=0), is_colored[inside[0], x1 - 1 : x1 + 2].any(axis=1)]
        assert min(side.mean() for side in sides) > 0.7
    left, top = corners[-1]
    assert not is_colored[top : top + 300, left : left + 200].any(), 'ground truth is white'


def test_threshold_limits_the_tracks(model: BaseDetector, dataset: BaseDetDataset, tmp_path: Path):
    def colors(**settings) -> set[int]:
        draw_stages(model, dataset, 0, tmp_path / 'stages.png', **settings)
        pixels = cv2.imread(str(tmp_path / 'stages.png'))[..., ::-1].astype(int)
        return {key for key, color in enumerate(PALETTE) if (np.abs(pixels - color).max(axis=-1) < 3).sum() > 100}

    assert colors(score_thr=0.0) == set(range(7))
    assert colors(score_thr=0.0, max_tracks=3) == {0, 1, 2}
    assert colors(score_thr=1.0) == {0}
