"""COCO evaluation of the same detections by pycocotools and by hotcoco, both through our CocoMetric."""

import gc
import io
import json
import logging
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from mmengine.logging import MMLogger

from sparse_rcnn_ext.datasets.coco_file import CocoFile
from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.evaluation import CocoMetric
from sparse_rcnn_ext.evaluation.box_evaluation import PRECISIONS, recall_names

from .processes import RESET, reset_peak, resident
from .settings import Setting
from .timing import BYTES, Comparison, Result, alternate, timed

WHOLE, PEAK = 'COCO evaluation', 'peak memory'
OURS, THEIRS = 'hotcoco', 'pycocotools'
# All twelve of COCO.
MAX_DETECTIONS = 1, 10, 100
ITEMS = [*PRECISIONS, *recall_names(MAX_DETECTIONS)]
SIZE = 480, 640
CLASSES, DETECTIONS = 80, 100
# mmdet gives three decimals: 0.3875 is 0.387 or 0.388, by the last bit of a sum.
ROUNDING = 1.001e-3
CROWDS = 0.02
"""Share of boxes that stand for a crowd."""


def measure_evaluation(
    setting: Setting, images: int = 500, annotations: Path | None = None, detections: Path | None = None
) -> Result:
    """Seconds from detections in memory to the numbers, and on Linux the memory that it takes.

    Args:
        setting: Its ``rounds`` and ``seed`` count, and its ``boxes`` in synthetic images.
        images: How many synthetic images, with 100 detections each.
        annotations: COCO file to take in place of synthetic truth; with ``detections``.
        detections: COCO results, a list of ``image_id``, ``category_id``, ``bbox`` (left, top, width, height) and
            ``score``.

    Raises:
        UserError: If a file cannot be used, or the numbers of the two differ.
    """
    if (annotations is None) != (detections is None):
        raise UserError('--annotations and --detections belong together: give both, or none for synthetic ones')
    if images < 1:
        raise UserError(f'--images is {images}: give at least 1')
    # Without a line for each number.
    MMLogger.get_current_instance().setLevel(logging.WARNING)
    with TemporaryDirectory() as folder:
        if annotations is None:
            annotations, detections = Path(folder, 'truth.json'), Path(folder, 'detections.json')
            truth, found = synthetic(images, setting.boxes, setting.seed)
            annotations.write_text(json.dumps(truth))
            detections.write_text(json.dumps(found))
        results, classes = read_results(annotations, detections)
        metrics = {backend: _metric(backend, annotations, classes) for backend in (OURS, THEIRS)}
        numbers = {backend: _numbers(metric, results) for backend, metric in metrics.items()}
        check_same_numbers(numbers[OURS], numbers[THEIRS])
        measures = (timed(lambda metric=metric: _numbers(metric, results), WHOLE, 'cpu') for metric in metrics.values())
        comparisons = alternate(*measures, setting.rounds, WHOLE)
        if RESET.exists():
            peaks = (peak_of(backend, annotations, detections) for backend in (OURS, THEIRS))
            comparisons.append(Comparison(PEAK, BYTES, *((peak,) for peak in peaks)))
    count = sum(len(found['scores']) for _, found in results)
    notes = [
        f'Ours is {OURS}, the other {THEIRS}, both through our CocoMetric. '
        f'All {len(ITEMS)} numbers are the same to three decimals; AP is {numbers[OURS]["bbox_mAP"]:.3f}.'
    ]
    return Result('evaluation', setting, comparisons, notes, title=f'{len(results)} images, {count} detections')


def peak_of(backend: str, annotations: Path, detections: Path) -> int:
    """Bytes that an evaluation takes at its peak, above what was there before it, in a process of its own."""
    # Not forked: it would have the memory of this process, and take what is free there first.
    with ProcessPoolExecutor(1, get_context('spawn')) as pool:
        return pool.submit(_measure_peak, backend, annotations, detections).result()


def _measure_peak(backend: str, annotations: Path, detections: Path) -> int:
    MMLogger.get_current_instance().setLevel(logging.WARNING)
    results, classes = read_results(annotations, detections)
    metric = _metric(backend, annotations, classes)
    gc.collect()
    reset_peak()
    before = resident('VmRSS')
    _numbers(metric, results)
    return resident('VmHWM') - before


def _metric(backend: str, annotations: Path, classes: tuple[str, ...]) -> CocoMetric:
    metric = CocoMetric(str(annotations), backend=backend, proposal_nums=MAX_DETECTIONS, metric_items=ITEMS)
    metric.dataset_meta = dict(classes=classes)
    return metric


def _numbers(metric: CocoMetric, results: list) -> dict[str, float]:
    # Both write a table; here only the time counts.
    with redirect_stdout(io.StringIO()):
        return metric.compute_metrics(results)


def check_same_numbers(ours: dict[str, float], theirs: dict[str, float]) -> None:
    """Raise UserError unless both have all twelve, and the same but for the rounding of the third decimal."""
    missing = [item for item in ITEMS if f'bbox_{item}' not in ours or f'bbox_{item}' not in theirs]
    if missing:
        raise UserError(f'the evaluation lacks {", ".join(missing)}: {OURS} and {THEIRS} cannot be compared')
    for item in ITEMS:
        our_value, their_value = ours[f'bbox_{item}'], theirs[f'bbox_{item}']
        if not abs(our_value - their_value) <= ROUNDING:
            raise UserError(
                f'{item} is {our_value} by {OURS} and {their_value} by {THEIRS}: a comparison of different things is '
                'no comparison'
            )


def read_results(annotations: Path, detections: Path) -> tuple[list[tuple[dict, dict]], tuple[str, ...]]:
    """Truth and detections of each image as a metric keeps them, and the names of the classes.

    Raises:
        UserError: If a file cannot be used.
    """
    coco = CocoFile(str(annotations))
    label_of = {category_id: label for label, category_id in enumerate(coco.ids_of(coco.names))}
    by_image: dict = {image['id']: [] for image in coco.dataset['images']}
    try:
        for detection in json.loads(detections.read_text()):
            left, top, width, height = detection['bbox']
            row = left, top, left + width, top + height, detection['score'], label_of[detection['category_id']]
            by_image[detection['image_id']].append(row)
    except FileNotFoundError:
        raise UserError(f'the detections {detections} do not exist') from None
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(
            f'{detections} does not hold detections of {annotations} ({type(error).__name__}: {error}): it must be a '
            'list of image_id, category_id, bbox and score'
        ) from None
    results = []
    for image in coco.dataset['images']:
        rows = np.array(by_image[image['id']], dtype=np.float32).reshape(-1, 6)
        truth = dict(img_id=image['id'], width=image['width'], height=image['height'])
        found = dict(img_id=image['id'], bboxes=rows[:, :4], scores=rows[:, 4], labels=rows[:, 5].astype(np.int64))
        results.append((truth, found))
    return results, coco.names


def synthetic(images: int, boxes: int, seed: int) -> tuple[dict, list[dict]]:
    """Truth and detections in COCO's form: each true box is found more or less well, the rest are false.

    Args:
        images: How many.
        boxes: True boxes of an image, of any size from 4 % to 80 % of its sides.
        seed: For both.
    """
    random = np.random.default_rng(seed)
    height, width = SIZE
    scale = np.array([width, height, width, height])
    annotations, detections = [], []
    for image in range(1, images + 1):
        truth = _random_boxes(boxes, random)
        classes = random.integers(1, CLASSES + 1, boxes)
        for box, kind in zip((truth * scale).tolist(), classes.tolist(), strict=True):
            crowd = int(random.random() < CROWDS)
            entry = dict(id=len(annotations) + 1, image_id=image, category_id=kind, bbox=box, iscrowd=crowd)
            annotations.append(dict(**entry, area=box[2] * box[3]))
        kept = min(boxes, DETECTIONS)
        near = truth[:kept] * random.normal(1, 0.08, (kept, 4))
        found = np.concatenate([near, _random_boxes(DETECTIONS - kept, random)]) * scale
        kinds = np.concatenate([classes[:kept], random.integers(1, CLASSES + 1, DETECTIONS - kept)])
        scores = np.concatenate([random.beta(4, 2, kept), random.beta(1, 6, DETECTIONS - kept)])
        for box, kind, score in zip(found.tolist(), kinds.tolist(), scores.tolist(), strict=True):
            detections.append(dict(image_id=image, category_id=kind, bbox=box, score=score))
    truth = dict(
        images=[dict(id=image, file_name=f'{image}.jpg', width=width, height=height) for image in range(1, images + 1)],
        annotations=annotations,
        categories=[dict(id=kind, name=f'class {kind}') for kind in range(1, CLASSES + 1)],
    )
    return truth, detections


def _random_boxes(count: int, random: np.random.Generator) -> np.ndarray:
    """(count, 4) left, top, width, height as shares of the image."""
    sides = np.exp(random.uniform(np.log(0.04), np.log(0.8), (count, 2)))
    return np.concatenate([(1 - sides) * random.random((count, 2)), sides], axis=1)
