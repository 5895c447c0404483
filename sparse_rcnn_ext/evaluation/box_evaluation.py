"""COCO's precision and recall of boxes, computed by hotcoco, reported by pycocotools, under mmdet's names."""

import os
from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO

import hotcoco
import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from terminaltables import AsciiTable

_threads = dict(started=False, lost=False)
"""Of hotcoco, in this process. A forked one believes that they are there, and would wait for ever."""
os.register_at_fork(after_in_child=lambda: _threads.update(lost=_threads['started']))


def evaluate_boxes(
    truth: COCO,
    category_ids: Sequence,
    found: Sequence[dict],
    use_categories: bool,
    max_detections: Sequence[int],
    iou_thresholds: np.ndarray,
    image_ids: Sequence | None = None,
) -> COCOeval:
    """Match and count as pycocotools does, and print its table.

    But a match counts whatever the id of the annotation is: to pycocotools, a box that matches the annotation 0 matches
    none.

    Args:
        truth: Where the annotations are; ``iscrowd`` and ``area`` stand in each.
        category_ids: The categories to look at, ascending.
        found: What was found in each image: ``img_id``, ``bboxes`` (n, 4) in xyxy pixels, ``scores`` (n,) and
            ``labels`` (n,), the places in ``category_ids``. All is to be finite, as :func:`are_finite` tells.
        use_categories: Whether a box has to be of its category too; if not, all are of one.
        max_detections: The three maxDets.
        iou_thresholds: The IoUs from which on a box is found.
        image_ids: The images to look at, all that ``found`` names among them; None: all of ``truth``.

    Returns:
        pycocotools' evaluation after ``summarize()``. Its ``stats`` and ``eval['precision']`` are within 1e-12 of what
        pycocotools computes; the matches of single images are not kept.
    """
    # The libraries want numbers for ids. Ascending, the places tie as the ids do in pycocotools.
    images = {image_id: place for place, image_id in enumerate(sorted(truth.imgs if image_ids is None else image_ids))}
    objects, detections = _objects(truth, images, category_ids), _detections(found, images)
    judge = _judge_by_pycocotools(objects, detections) if _threads['lost'] else _judge_by_hotcoco(objects, detections)
    report = COCOeval(iouType='bbox')
    for params in (judge.params, report.params):
        params.useCats, params.maxDets, params.iouThrs = use_categories, sorted(max_detections), iou_thresholds
    with redirect_stdout(StringIO()):
        judge.evaluate()
        judge.accumulate()
    # The library's own table takes mAP at the largest of maxDets, pycocotools' at 100.
    report.eval = judge.eval
    report.summarize()
    return report


def _judge_by_hotcoco(objects: dict, detections: np.ndarray) -> hotcoco.COCOeval:
    _threads['started'] = True
    truth = hotcoco.COCO.from_arrays(**objects)
    return hotcoco.COCOeval(truth, truth.load_res(detections), 'bbox')


def _judge_by_pycocotools(objects: dict, detections: np.ndarray) -> COCOeval:
    """In forty times the time, but in a process that was forked from one where hotcoco ran."""
    columns = (objects[name].tolist() for name in ('image_ids', 'category_ids', 'boxes', 'area', 'iscrowd'))
    annotations = [
        dict(id=number, image_id=image, category_id=category, bbox=box, area=area, iscrowd=crowd)
        for number, (image, category, box, area, crowd) in enumerate(zip(*columns), start=1)
    ]
    truth = COCO()
    truth.dataset = dict(images=objects['images'], categories=objects['categories'], annotations=annotations)
    with redirect_stdout(StringIO()):
        truth.createIndex()
        return COCOeval(truth, truth.loadRes(detections), 'bbox')


def are_finite(truth: COCO, found: Sequence[dict]) -> bool:
    """Whether no box and no score is infinite or NaN: pycocotools lets such a box match what the library does not."""
    boxes = [annotation['bbox'] for annotation in truth.anns.values()]
    values = (part for result in found for part in (result['bboxes'], result['scores']))
    return bool(np.isfinite(np.asarray(boxes, float)).all()) and all(np.isfinite(part).all() for part in values)


def _objects(truth: COCO, images: dict, category_ids: Sequence) -> dict:
    """Images, categories and the columns of their annotations, with places for ids."""
    categories = {category_id: place for place, category_id in enumerate(category_ids)}
    entries = [
        entry
        for image_id in images
        for entry in truth.imgToAnns.get(image_id, ())
        if entry['category_id'] in categories
    ]
    return dict(
        images=[dict(id=place) for place in images.values()],
        categories=[dict(id=place, name=str(place)) for place in categories.values()],
        image_ids=np.array([images[entry['image_id']] for entry in entries], np.int64),
        category_ids=np.array([categories[entry['category_id']] for entry in entries], np.int64),
        boxes=np.array([entry['bbox'] for entry in entries], np.float64).reshape(-1, 4),
        area=np.array([entry['area'] for entry in entries], np.float64),
        iscrowd=np.array([bool(entry['iscrowd']) for entry in entries], np.int64),
    )


def _detections(found: Sequence[dict], images: dict) -> np.ndarray:
    """(N, 7): image, left, top, width, height, score, category."""
    counts = [len(result['labels']) for result in found]
    places = [images[result['img_id']] if count else 0 for result, count in zip(found, counts)]
    boxes = np.concatenate([np.zeros((0, 4)), *(result['bboxes'] for result in found)]).astype(np.float64)
    boxes[:, 2:] -= boxes[:, :2]
    scores, labels = (np.concatenate([np.zeros(0), *(result[key] for result in found)]) for key in ('scores', 'labels'))
    return np.column_stack([np.repeat(places, counts), boxes, scores, labels])


PRECISIONS = ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l')


def recall_names(max_detections: Sequence[int]) -> tuple[str, ...]:
    """The names of the six recalls, such as AR@1, AR@10, AR@100, AR_s@100, AR_m@100, AR_l@100.

    Args:
        max_detections: The maxDets, at least three, in any order; pycocotools reports the least three.
    """
    few, more, most, *_ = sorted(max_detections)
    return (f'AR@{few}', f'AR@{more}', *(f'AR{size}@{most}' for size in ('', '_s', '_m', '_l')))


RECALLS_OF_MMDET = recall_names((100, 300, 1000))
"""mmdet's names, whatever its ``proposal_nums`` are."""


def box_numbers(evaluation: COCOeval, items: Sequence[str] | None) -> dict[str, float]:
    """``bbox_`` and the item, rounded to three digits; None: the precisions."""
    stats = _stats(evaluation)
    return {f'bbox_{item}': float(round(stats[item], 3)) for item in (PRECISIONS if items is None else items)}


def proposal_numbers(evaluation: COCOeval, items: Sequence[str] | None) -> dict[str, float]:
    """The items, printed to three digits; None: the recalls."""
    stats = _stats(evaluation)
    recalls = recall_names(evaluation.params.maxDets)
    return {item: float(f'{stats[item]:.3f}') for item in (recalls if items is None else items)}


def _stats(evaluation: COCOeval) -> dict[str, float]:
    return dict(zip(PRECISIONS + recall_names(evaluation.params.maxDets), evaluation.stats, strict=True))


def numbers_by_class(evaluation: COCOeval, names: Sequence[str]) -> tuple[dict[str, float], str]:
    """AP class by class, with all detections that maxDets allows.

    Args:
        evaluation: With the categories in the order of ``names``.
        names: Of the categories.

    Returns:
        ``<name>_precision``, NaN without truth, and a table with the six precisions of each class.
    """
    # (IoUs, recalls, classes, areas), the areas being all, small, medium and large.
    precision = evaluation.eval['precision'][..., -1]
    halves, three_quarters = (np.isclose(evaluation.params.iouThrs, iou) for iou in (0.5, 0.75))
    rows = []
    for place, name in enumerate(names):
        of_class = precision[:, :, place]
        parts = (of_class[..., 0], of_class[halves, :, 0], of_class[three_quarters, :, 0])
        areas = (of_class[..., area] for area in (1, 2, 3))
        rows.append((name, *(_mean(part) for part in (*parts, *areas))))
    numbers = {f'{name}_precision': ap for name, ap, *_ in rows}
    return numbers, AsciiTable([('category', *PRECISIONS), *[[str(cell) for cell in row] for row in rows]]).table


def _mean(precision: np.ndarray) -> float:
    known = precision[precision > -1]
    return float(round(known.mean(), 3)) if known.size else float('nan')
