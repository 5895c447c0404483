"""What the CocoMetric returns, logs and writes is mmdet's, whichever backend computes it."""

import json
import logging
import math
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from mmdet.evaluation import CocoMetric as MMDetCocoMetric
from mmengine.config import Config
from mmengine.logging import MMLogger
from numpy.random import default_rng
from pycocotools.mask import encode

from sparse_rcnn_ext.evaluation import CocoMetric, coco_metric
from sparse_rcnn_ext.evaluation.box_evaluation import PRECISIONS, recall_names
from tests.evaluation.random_boxes import SIDE, random_results, random_truth, write_json

SETTINGS = [
    dict(),
    dict(proposal_nums=(1, 10, 100)),
    dict(
        proposal_nums=(300, 20, 10), metric_items=[*recall_names((10, 20, 300)), *PRECISIONS]
    ),  # COCO's mAP is at 100: here it is -1
    dict(proposal_nums=(1, 10, 100), classwise=True, metric_items=['mAP_50', 'AR_s@100']),
    dict(proposal_nums=(1, 10, 100), classwise=True, iou_thrs=np.array([0.5, 0.6, 0.7, 0.8, 0.9, 0.75])),
    dict(metric='proposal'),
    dict(metric=['proposal', 'bbox'], proposal_nums=(1, 10, 100), classwise=True),
    dict(metric=['segm', 'bbox'], proposal_nums=(1, 10, 100)),
]
THEIRS = (100, 300, 1000)
"""The proposal_nums after which mmdet names the recalls."""
IDS = [3, 4, 8, 11, 90]  # ascending: mmdet's own metric goes by the order of the file


@pytest.fixture
def log(caplog):
    """What is logged from here on."""
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    caplog.set_level(logging.INFO, logger.name)
    yield caplog
    logger.removeHandler(caplog.handler)


@pytest.fixture
def calls(monkeypatch) -> list:
    """The evaluations that hotcoco made, as the arguments of its call."""
    calls = []
    evaluate_boxes = coco_metric.evaluate_boxes
    monkeypatch.setattr(coco_metric, 'evaluate_boxes', lambda *args: calls.append(args) or evaluate_boxes(*args))
    return calls


def random_case(seed: int) -> tuple[dict, list]:
    """A file and the results of its detections; the last class is without truth, some images without detections."""
    generator = default_rng(seed)
    truth = random_truth(generator, generator.permutation(50)[:7].tolist(), IDS)
    results = []
    looked_at = {found['img_id']: found for found in random_results(generator, truth)}
    # mmdet counts what was not run as missed, ours does not.
    for image in truth['images']:
        nothing = dict(bboxes=np.zeros((0, 4), np.float32), scores=np.zeros(0, np.float32), labels=np.zeros(0, int))
        looked_at.setdefault(image['id'], dict(img_id=image['id'], **nothing))
    for found in looked_at.values():
        found['masks'] = [mask_of(box, 'bytes') for box in found['bboxes']]
        results.append((dict(width=SIDE, height=SIDE, img_id=found['img_id']), found))
    for annotation in truth['annotations']:
        left, top, width, height = annotation['bbox']
        annotation['segmentation'] = mask_of((left, top, left + width, top + height), 'text')
    assert any(len(found['labels']) for _, found in results)
    return truth, results


def mask_of(box: Sequence[float], kind: str) -> dict:
    """The pixels of a box (xyxy), encoded: as bytes, which a detector gives, or as the text of a JSON file."""
    left, top, right, bottom = (max(0, int(value)) for value in box)
    pixels = np.zeros((SIDE, SIDE), np.uint8, order='F')
    pixels[top:bottom, left:right] = 1
    mask = encode(pixels)
    return mask if kind == 'bytes' else mask | dict(counts=mask['counts'].decode())


def compute(metric: MMDetCocoMetric, truth: dict, results: list) -> dict[str, float]:
    metric.dataset_meta = dict(classes=[category['name'] for category in truth['categories']])
    return dict(metric.compute_metrics([(dict(image), dict(found)) for image, found in results]))


def equal(first: dict[str, float], second: dict[str, float]) -> bool:
    same = all(math.isnan(value) if math.isnan(second[key]) else value == second[key] for key, value in first.items())
    return list(first) == list(second) and same


def rename(name: str, names: dict[str, str]) -> str:
    """From mmdet's name of a recall to ours; ``names`` are mmdet's by ours."""
    for ours, theirs in names.items():
        for prefix in ('', 'bbox_', 'segm_'):
            if name == prefix + theirs:
                return prefix + ours
    return name


def tables(records: list) -> list[str]:
    return [record.getMessage() for record in records if 'mAP' in record.getMessage() or 'Eval' in record.getMessage()]


@pytest.mark.parametrize('settings', SETTINGS, ids=lambda settings: ' '.join(map(str, settings)) or 'default')
def test_backends_and_mmdet_return_and_log_the_same(tmp_path, log, settings):
    for seed in range(3):
        truth, results = random_case(seed)
        path = write_json(tmp_path / f'{seed}.json', truth)
        answers, logged = [], []
        names = dict(zip(recall_names(settings.get('proposal_nums', THEIRS)), recall_names(THEIRS)))
        items = settings.get('metric_items')
        theirs = settings | dict(metric_items=items and [names.get(item, item) for item in items])
        for kind, own in (
            (MMDetCocoMetric, theirs),
            *((CocoMetric, settings | dict(backend=name)) for name in coco_metric.BACKENDS),
        ):
            log.clear()
            answers.append(compute(kind(path, **own), truth, results))
            logged.append(tables(log.records))
        assert answers[0]
        answers[0] = {rename(name, names): value for name, value in answers[0].items()}
        assert equal(answers[1], answers[0]) and equal(answers[2], answers[0])
        assert logged[0] and logged[1] == logged[0] and logged[2] == logged[0]


@pytest.mark.parametrize('prefix', [None, 'kept'])
def test_truth_of_the_samples(tmp_path, prefix):
    _, results = random_case(4)
    boxes = default_rng(4).integers(0, 150, (len(results), 6, 2))
    for (image, found), corners in zip(results, boxes):
        del found['masks']
        image['anns'] = [
            dict(bbox=[*map(float, (*corner, *(corner + 40)))], bbox_label=number % 5, ignore_flag=int(number == 3))
            for number, corner in enumerate(corners)
        ]
    truth = dict(categories=[dict(name=f'class {number}') for number in range(5)])
    answers = []
    for kind in (MMDetCocoMetric, CocoMetric):
        folder = tmp_path / kind.__module__
        folder.mkdir()
        metric = kind(classwise=True, outfile_prefix=prefix and str(folder / prefix))
        answers += [compute(metric, truth, results) for _ in range(2)]  # as at the validations of a training
        written = sorted(path.name for path in folder.iterdir())
        assert written == (['kept.bbox.json', 'kept.gt.json'] if prefix else [])
    assert all(equal(answer, answers[0]) for answer in answers[1:])
    assert answers[0]['bbox_mAP'] >= 0


@pytest.mark.parametrize('format_only', [True, False])
def test_result_file(tmp_path, calls, format_only):
    truth, results = random_case(5)
    path = write_json(tmp_path / 'truth.json', truth)
    texts = []
    for number, kind in enumerate((MMDetCocoMetric, CocoMetric)):
        prefix = tmp_path / str(number)
        answer = compute(kind(path, outfile_prefix=str(prefix), format_only=format_only), truth, results)
        assert bool(answer) != format_only
        texts.append(Path(f'{prefix}.bbox.json').read_text())
    assert texts[0] == texts[1]
    assert json.loads(texts[0])
    assert len(calls) == (0 if format_only else 1)


def test_proposal_fast_is_broken_in_mmdet(tmp_path):
    """Why ours refuses it: this fails when it need not."""
    truth, results = random_case(11)
    found = {image['img_id']: (image, entry) for image, entry in results}
    none = dict(bboxes=np.zeros((0, 4)), scores=np.zeros(0), labels=np.zeros(0, int), masks=[])
    all_images = [found.get(image['id'], ({}, none | dict(img_id=image['id']))) for image in truth['images']]
    metric = MMDetCocoMetric(write_json(tmp_path / 'truth.json', truth), metric='proposal_fast')
    with pytest.raises(ValueError, match='inhomogeneous shape'):
        compute(metric, truth, all_images)


def test_which_backend_computes(tmp_path, calls):
    truth, results = random_case(6)
    path = write_json(tmp_path / 'truth.json', truth)
    config = Config(dict(test_evaluator=dict(ann_file=path, metric=['bbox', 'proposal'])))
    compute(CocoMetric(**config.test_evaluator), truth, results)
    assert [use_categories for _, _, _, use_categories, *_ in calls] == [True, False]
    config.merge_from_dict({'test_evaluator.backend': 'pycocotools'})
    compute(CocoMetric(**config.test_evaluator), truth, results)
    assert len(calls) == 2


def test_boxes_that_are_not_finite(tmp_path, calls, log):
    """pycocotools takes them for found, hotcoco does not."""
    truth, results = random_case(7)
    path = write_json(tmp_path / 'truth.json', truth)
    for _, found in results:
        found['bboxes'][::3] = np.nan
    expected = compute(MMDetCocoMetric(path), truth, results)
    assert equal(compute(CocoMetric(path), truth, results), expected)
    assert calls == []
    assert 'a box or a score is infinite or NaN' in log.text


@pytest.mark.parametrize(('metric', 'kind'), [*product(['bbox', 'proposal'], [MMDetCocoMetric, CocoMetric])])
def test_no_detections_at_all(tmp_path, log, metric, kind):
    truth, results = random_case(8)
    path = write_json(tmp_path / 'truth.json', truth)
    for _, found in results:
        found.update(bboxes=np.zeros((0, 4), np.float32), scores=np.zeros(0, np.float32), labels=np.zeros(0, int))
    assert compute(kind(path, metric=metric), truth, results) == {}
    assert 'The testing results of the whole dataset is empty.' in log.text


@pytest.mark.parametrize('backend', coco_metric.BACKENDS)
def test_an_empty_image_whose_labels_are_floats(tmp_path, backend):
    """As ``torch.zeros(0)`` is."""
    truth, results = random_case(10)
    path = write_json(tmp_path / 'truth.json', truth)
    assert len(results[0][1]['labels'])
    results[0][1].update(bboxes=np.zeros((0, 4), np.float32), scores=np.zeros(0), labels=np.zeros(0, np.float32))
    expected = compute(MMDetCocoMetric(path), truth, results)
    assert equal(compute(CocoMetric(path, backend=backend), truth, results), expected)


def test_thresholds_of_a_config(tmp_path):
    """A config knows lists and numbers, in which pycocotools does not find a threshold."""
    truth, results = random_case(9)
    path = write_json(tmp_path / 'truth.json', truth)
    settings = dict(proposal_nums=(1, 10, 100), classwise=True)
    expected = compute(MMDetCocoMetric(path, iou_thrs=np.array([0.5]), proposal_nums=(1, 10, 100)), truth, results)
    for backend, ious in product(coco_metric.BACKENDS, ([0.5], 0.5)):
        metric = CocoMetric(path, iou_thrs=ious, backend=backend, **settings | dict(classwise=False))
        assert equal(compute(metric, truth, results), expected)
    found = compute(CocoMetric(path, iou_thrs=[0.5], **settings), truth, results)  # mmdet looks for the sixth there
    assert np.nanmean([value for key, value in found.items() if key.endswith('_precision')]) == pytest.approx(
        expected['bbox_mAP'], abs=1e-3
    )
