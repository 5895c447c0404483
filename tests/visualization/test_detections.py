"""Detections beside ground truth."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.datasets import BaseDetDataset
from mmengine.structures import InstanceData
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from sparse_rcnn_ext.visualization import draw_detections, draw_run
from sparse_rcnn_ext.visualization.detections import agree, compare
from sparse_rcnn_ext.visualization.examples import load_example
from sparse_rcnn_ext.visualization.palette import color_of
from sparse_rcnn_ext.visualization.run_pictures import load_model
from sparse_rcnn_ext.visualization.sheet import LEGEND, panel_corners


def instances(boxes: list[list[float]], labels: list[int], scores: list[float]) -> InstanceData:
    return InstanceData(
        bboxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        labels=torch.tensor(labels, dtype=torch.long),
        scores=torch.tensor(scores),
    )


def color_share(pixels: np.ndarray, label: int) -> float:
    """How much of a line has the colour of a class."""
    return float((np.abs(pixels.astype(int) - color_of(label)).max(axis=-1) < 12).mean())


def test_truth_is_in_pixels_of_the_file(dataset: BaseDetDataset):
    example = load_example(dataset, 0)
    assert example.name == '1.png'
    assert example.image.shape == (60, 100, 3)
    assert example.truth.bboxes.tolist() == [[10, 10, 40, 30], [60, 20, 85, 55], [50, 5, 95, 17]]
    assert example.truth.labels.tolist() == [0, 1, 2]
    assert example.truth.crowds.tolist() == [False, False, True]
    assert example.batch['inputs'][0].shape == (3, 120, 200)
    assert load_example(dataset, 1).truth.bboxes.shape == (0, 4)


def test_compare_draws_both_sides(dataset: BaseDetDataset):
    example = load_example(dataset, 0)
    detections = instances([[11, 10, 40, 31], [60, 20, 85, 55]], [0, 2], [0.9, 0.6])
    truth, found = compare(example, detections, dataset.metainfo['classes'], panel_side=500)
    assert truth.title == '1.png: 2 objects'
    assert found.title == '1 found, 1 missed, 1 wrong'
    assert truth.image.shape == found.image.shape == (300, 500, 3)
    # Five panel pixels for one of the image. The lower side of a box is free of labels, which stand above.
    assert color_share(truth.image[150, 55:195], label=0) == 1
    assert color_share(found.image[155, 60:195], label=0) == 1
    # Box and object, but of different classes: both are dashed.
    assert 0.3 < color_share(truth.image[275, 305:420], label=1) < 0.85
    assert 0.3 < color_share(found.image[275, 305:420], label=2) < 0.85


def test_compare_without_objects_or_detections(dataset: BaseDetDataset):
    truth, found = compare(load_example(dataset, 1), instances([], [], []), dataset.metainfo['classes'], panel_side=200)
    assert truth.title == '2.png: no objects'
    assert found.title == '0 found, 0 missed, 0 wrong'
    np.testing.assert_array_equal(truth.image, found.image)


@pytest.mark.parametrize('seed', range(20))
def test_agreement_is_that_of_coco(seed: int):
    rng = np.random.default_rng(seed)

    def boxes(number: int) -> np.ndarray:
        corner, size = rng.uniform(0, 30, (number, 2)), rng.uniform(15, 40, (number, 2))
        return np.concatenate([corner, size], axis=1)

    truth_boxes, truth_labels = boxes(8), rng.integers(0, 2, 8)
    found_boxes, found_labels = boxes(12), rng.integers(0, 2, 12)
    scores = np.sort(rng.uniform(size=12))[::-1]
    truth_crowds = np.arange(8) < 2
    coco = COCO()
    coco.dataset = dict(
        info={},
        images=[dict(id=1, width=100, height=100)],
        categories=[dict(id=0), dict(id=1)],
        annotations=[
            dict(
                id=key + 1,
                image_id=1,
                bbox=box.tolist(),
                category_id=int(label),
                area=box[2] * box[3],
                iscrowd=int(crowd),
            )
            for key, (box, label, crowd) in enumerate(zip(truth_boxes, truth_labels, truth_crowds))
        ],
    )
    coco.createIndex()
    results = [
        dict(image_id=1, bbox=box.tolist(), category_id=int(label), score=float(score))
        for box, label, score in zip(found_boxes, found_labels, scores)
    ]
    evaluation = COCOeval(coco, coco.loadRes(results), 'bbox')
    evaluation.evaluate()
    of_all_areas = [image for image in evaluation.evalImgs[: 2 * 4 : 4] if image]
    assert [image['category_id'] for image in of_all_areas] == [0, 1]
    crowd_ids = {1, 2}
    matched = {int(key) for image in of_all_areas for key in image['dtMatches'][0] if key} - crowd_ids
    right_ids = {
        int(key) for image in of_all_areas for key, match in zip(image['dtIds'], image['dtMatches'][0]) if match
    }

    def corners(xywh: np.ndarray) -> list[list[float]]:
        return np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1).tolist()

    truth = instances(corners(truth_boxes), truth_labels.tolist(), [1.0] * 8)
    truth.crowds = torch.from_numpy(truth_crowds)
    right, found = agree(instances(corners(found_boxes), found_labels.tolist(), scores.tolist()), truth)
    assert {key + 1 for key in range(8) if found[key]} == matched
    assert {key + 1 for key in range(12) if right[key]} == right_ids


def test_draw_detections(picture_config, checkpoint: Path, dataset: BaseDetDataset, tmp_path: Path):
    model = load_model(picture_config, checkpoint)
    out = tmp_path / 'detections.png'
    draw_detections(model, dataset, [0, 1, 2], out, score_thr=0.0, panel_side=150)
    shapes = [(90, 150)] * 4 + [(150, 100)] * 2
    _, width, height = panel_corners(shapes, columns=4, group=2)
    drawn = cv2.imread(str(out))
    assert drawn.shape == (height + LEGEND, width, 3)
    draw_detections(model, dataset, [0, 1, 2], out, score_thr=1.0, panel_side=150)
    assert (cv2.imread(str(out)) != drawn).any(), 'the threshold counts'


def test_draw_run(picture_config, checkpoint: Path, tmp_path: Path):
    pictures = draw_run(picture_config, checkpoint, tmp_path / 'pictures', num_images=2)
    assert [path.name for path in pictures] == ['detections.png', 'stages.png']
    assert sorted((tmp_path / 'pictures').iterdir()) == sorted(pictures)
    assert all(cv2.imread(str(path)).std() > 5 for path in pictures)
