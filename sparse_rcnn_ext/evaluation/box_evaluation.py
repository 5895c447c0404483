"""COCO's precision and recall of boxes, computed by faster-coco-eval and reported by pycocotools."""

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from faster_coco_eval.core import coco as faster_coco
from faster_coco_eval.core.faster_eval_api import COCOeval_faster
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """For work that makes many dictionaries and no cycles: Python would look through them all time and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@_no_garbage_collection()
def evaluate_boxes(
    truth: COCO,
    category_ids: Sequence,
    found: Sequence[dict],
    use_categories: bool,
    max_detections: Sequence[int],
    iou_thresholds: np.ndarray,
) -> COCOeval:
    """Match and count as pycocotools does, and print its table.

    Args:
        truth: Where the annotations are; ``iscrowd`` and ``area`` stand in each.
        category_ids: The categories to look at, ascending.
        found: What was found in each image: ``img_id``, ``bboxes`` (n, 4) in xyxy pixels, ``scores`` (n,) and
            ``labels`` (n,), the places in ``category_ids``. All is to be finite, as :func:`are_finite` tells.
        use_categories: Whether a box has to be of its category too; if not, all are of one.
        max_detections: The three maxDets.
        iou_thresholds: The IoUs from which on a box is found.

    Returns:
        pycocotools' evaluation after ``summarize()``. Its ``stats`` and ``eval['precision']`` are within 1e-15 of what
        pycocotools computes; the matches of single images are not kept.
    """
    # The library keeps ids as float64 and takes no texts. Ascending, the places tie as the ids do in pycocotools.
    images = {image_id: place for place, image_id in enumerate(sorted(truth.imgs))}
    categories = {category_id: place for place, category_id in enumerate(category_ids)}
    judge = COCOeval_faster(
        _records(images, categories, _true_boxes(truth, images, categories)),
        _records(images, categories, _found_boxes(found, images)),
        iouType='bbox',
        print_function=print,
    )
    report = COCOeval(iouType='bbox')
    for params in (judge.params, report.params):
        params.useCats = int(use_categories)
        params.maxDets = sorted(max_detections)
        params.iouThrs = iou_thresholds
    judge.evaluate()
    judge.accumulate()
    # The library's own table takes mAP at the largest of maxDets, pycocotools' at 100.
    report.eval = judge.eval
    report.summarize()
    return report


def are_finite(truth: COCO, found: Sequence[dict]) -> bool:
    """Whether no box and no score is infinite or NaN: pycocotools lets such a box match what the library does not."""
    boxes = [annotation['bbox'] for annotation in truth.anns.values()]
    values = (part for result in found for part in (result['bboxes'], result['scores']))
    return bool(np.isfinite(np.asarray(boxes, float)).all()) and all(np.isfinite(part).all() for part in values)


def _records(images: dict, categories: dict, annotations: list[dict]) -> faster_coco.COCO:
    """The annotations as the library wants them."""
    ids = dict(images=images.values(), categories=categories.values())
    listed = {part: [dict(id=place) for place in places] for part, places in ids.items()}
    return faster_coco.COCO(dict(**listed, annotations=annotations))


def _true_boxes(truth: COCO, images: dict, categories: dict) -> list[dict]:
    annotations = (entry for image_id in images for entry in truth.imgToAnns.get(image_id, ()))
    return [
        dict(
            # To pycocotools a box that matches the annotation 0 matches none; the numbers are to be the same.
            id=number if entry['id'] != 0 else 0,
            image_id=images[entry['image_id']],
            category_id=categories[entry['category_id']],
            bbox=[float(value) for value in entry['bbox']],
            area=float(entry['area']),
            iscrowd=int(bool(entry['iscrowd'])),
        )
        for number, entry in enumerate(annotations, start=1)
        if entry['category_id'] in categories
    ]


def _found_boxes(found: Sequence[dict], images: dict) -> list[dict]:
    records = []
    for result in found:
        image = images[result['img_id']] if len(result['labels']) else None
        boxes = result['bboxes'].astype(np.float64)
        boxes[:, 2:] -= boxes[:, :2]
        areas = boxes[:, 2] * boxes[:, 3]
        scores = result['scores'].astype(np.float64)
        records += [
            dict(id=number, image_id=image, category_id=label, bbox=box, area=area, score=score, iscrowd=0)
            for number, (label, box, area, score) in enumerate(
                zip(result['labels'].tolist(), boxes.tolist(), areas.tolist(), scores.tolist()), start=len(records) + 1
            )
        ]
    return records
