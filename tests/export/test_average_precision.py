"""What an exported file scores is what the detector scores."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from sparse_rcnn_ext.export import Detections, Detector
from tests.export.examples import detect, read_images


def as_coco(found: list[Detections]) -> list[dict]:
    rows = []
    for image, (boxes, scores, labels) in enumerate(found):
        for (left, top, right, bottom), score, label in zip(boxes.tolist(), scores, labels, strict=True):
            box = [left, top, right - left, bottom - top]
            rows.append(dict(image_id=image, bbox=box, score=float(score), category_id=int(label)))
    return rows


def average_precision(truth: list[dict], found: list[Detections], images: int, classes: int) -> float:
    annotations = [
        row | dict(id=1 + number, area=row['bbox'][2] * row['bbox'][3], iscrowd=0) for number, row in enumerate(truth)
    ]
    coco = COCO()
    coco.dataset = dict(
        images=[dict(id=image) for image in range(images)],
        annotations=annotations,
        categories=[dict(id=label) for label in range(classes)],
    )
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(as_coco(found)), 'bbox')
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats[0]


@pytest.mark.parametrize('kind', ['onnx', 'openvino', 'torchscript'])
def test_equal_to_a_thousandth(export, tiny_detector, shared_dir, kind):
    images = read_images(shared_dir, 4)
    file = Detector(export(kind), threads=1)
    assert file.metadata['clip_boxes'] is True
    ours = file.detect(images, score_thr=0)
    theirs = [
        Detections(found.bboxes.numpy(), found.scores.numpy(), found.labels.numpy())
        for image in images
        for found in detect(tiny_detector, file.prepare([image]), [image])
    ]
    # Truth that the detector half finds: some of its own detections, moved by up to a tenth of a side.
    rng = np.random.default_rng(0)
    truth = [row for row in as_coco(theirs) if rng.random() < 0.5]
    for row in truth:
        side = np.tile(row['bbox'][2:], 2)
        row['bbox'] = (np.array(row['bbox']) + side * rng.uniform(-0.1, 0.1, 4)).tolist()
    expected, found = (average_precision(truth, side, len(images), len(file.classes)) for side in (theirs, ours))
    assert 0.1 < expected < 0.9
    assert abs(found - expected) <= 1e-3
