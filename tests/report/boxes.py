"""Truths and detections written down by hand."""

from contextlib import redirect_stdout
from io import StringIO

import numpy as np
from pycocotools.coco import COCO

CLASSES = ('cat', 'dog', 'owl')


def make_truth(*images: list[tuple], crowds: tuple[tuple[int, int], ...] = ()) -> COCO:
    """Images of ``(label, left, top, width, height)``; ``crowds`` are places (image, object)."""
    boxes = [(image, place, *box) for image, objects in enumerate(images) for place, box in enumerate(objects)]
    truth = COCO()
    truth.dataset = dict(
        images=[dict(id=image) for image in range(len(images))],
        categories=[dict(id=label, name=name) for label, name in enumerate(CLASSES)],
        annotations=[
            dict(
                id=number,
                image_id=image,
                category_id=label,
                bbox=[left, top, width, height],
                area=width * height,
                iscrowd=int((image, place) in crowds),
            )
            for number, (image, place, label, left, top, width, height) in enumerate(boxes, start=1)
        ],
    )
    with redirect_stdout(StringIO()):
        truth.createIndex()
    return truth


def make_found(*images: list[tuple]) -> list[dict]:
    """Images of ``(label, score, left, top, width, height)``, scores falling."""
    found = []
    for image, rows in enumerate(images):
        table = np.array(rows, dtype=np.float32).reshape(-1, 6)
        boxes = np.concatenate([table[:, 2:4], table[:, 2:4] + table[:, 4:]], axis=1)
        found.append(dict(img_id=image, bboxes=boxes, scores=table[:, 1], labels=table[:, 0].astype(int)))
    return found
