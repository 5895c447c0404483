"""hotcoco, as the metric calls it, against pycocotools called by hand."""

import json
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import default_rng
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from sparse_rcnn_ext.evaluation import box_evaluation
from sparse_rcnn_ext.evaluation.box_evaluation import are_finite, evaluate_boxes
from tests.evaluation.random_boxes import random_results, random_truth

COCO_IOUS = np.linspace(0.5, 0.95, 10)
MAX_DETECTIONS = (1, 10, 100)


def index(content: dict) -> COCO:
    truth = COCO()
    truth.dataset = content
    truth.createIndex()
    return truth


def by_pycocotools(content: dict, results: list[dict], use_categories: bool, max_detections, ious) -> COCOeval:
    ids = sorted(category['id'] for category in content['categories'])
    records = []
    for found in results:
        for box, score, label in zip(found['bboxes'].tolist(), found['scores'].tolist(), found['labels']):
            left, top, right, bottom = box
            bbox = [left, top, right - left, bottom - top]
            records.append(dict(image_id=found['img_id'], category_id=ids[label], bbox=bbox, score=score))
    truth = index(content)
    evaluation = COCOeval(truth, truth.loadRes(records), 'bbox')
    evaluation.params.useCats = int(use_categories)
    evaluation.params.maxDets = list(max_detections)
    evaluation.params.iouThrs = ious
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation


def compare(content, results, use_categories=True, max_detections=MAX_DETECTIONS, ious=COCO_IOUS) -> COCOeval:
    content_again = json.loads(json.dumps(content))
    expected = by_pycocotools(content, results, use_categories, max_detections, ious)
    ids = sorted(category['id'] for category in content['categories'])
    before = json.dumps(content_again)
    got = evaluate_boxes(index(content_again), ids, results, use_categories, max_detections, ious)
    assert json.dumps(content_again) == before
    assert got.eval['precision'].shape == expected.eval['precision'].shape
    for key in ('precision', 'recall', 'scores'):
        np.testing.assert_allclose(got.eval[key], expected.eval[key], rtol=0, atol=1e-12)
    np.testing.assert_allclose(got.stats, expected.stats, rtol=0, atol=1e-12)
    return expected


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    num_images=st.integers(1, 8),
    num_classes=st.integers(1, 5),
    use_categories=st.booleans(),
    max_detections=st.sampled_from([(1, 10, 100), (100, 300, 1000), (3, 7, 20), (100, 1, 10), (1, 2, 50)]),
    ious=st.sampled_from([COCO_IOUS, np.array([0.5, 0.75]), np.array([0.3, 0.5, 1.0])]),
)
def test_random_files(seed, num_images, num_classes, use_categories, max_detections, ious):
    generator = default_rng(seed)
    image_ids, category_ids = (generator.permutation(99)[:count].tolist() for count in (num_images, num_classes))
    truth = random_truth(generator, image_ids, category_ids)
    results = random_results(generator, truth)
    if any(len(found['labels']) for found in results):  # pycocotools takes no empty list
        compare(truth, results, use_categories, max_detections, ious)


@pytest.mark.parametrize(
    ('image_ids', 'category_ids'),
    [(['b', 'a', 'c10', 'c9'], ['x', 'dog', 'a cat']), ([2**60 + number for number in range(4)], [0, 2**40])],
    ids=['texts', 'beyond a float'],
)
def test_ids_that_the_library_cannot_hold(image_ids, category_ids):
    generator = default_rng(1)
    truth = random_truth(generator, image_ids, category_ids)
    expected = compare(truth, random_results(generator, truth))
    assert 0 < expected.stats[0] < 1


def test_annotation_0():
    """pycocotools calls its match a miss."""
    boxes = [
        dict(id=number, image_id=number, category_id=1, bbox=[3, 4, 20, 20], area=400, iscrowd=0) for number in (0, 1)
    ]
    images = [dict(id=number, file_name=str(number), width=50, height=50) for number in (0, 1)]
    truth = dict(images=images, annotations=boxes, categories=[dict(id=1, name='a')])
    box = np.array([[3, 4, 23, 24]], np.float32)
    found = [dict(img_id=number, bboxes=box, scores=np.ones(1), labels=np.zeros(1, int)) for number in (0, 1)]
    assert by_pycocotools(truth, found, True, MAX_DETECTIONS, COCO_IOUS).stats[0] < 0.6
    assert evaluate_boxes(index(truth), [1], found, True, MAX_DETECTIONS, COCO_IOUS).stats[0] == pytest.approx(1)


@pytest.mark.parametrize('use_categories', [True, False])
@pytest.mark.parametrize('max_detections', [(1, 10, 100), (100, 300, 1000)])
def test_coco(shared_dir, use_categories, max_detections):
    path = shared_dir / 'data/coco_mini/annotations/instances_val2017.json'
    if not path.is_file():
        pytest.skip(f'no file {path}')
    truth = json.loads(path.read_text())
    assert sum(entry['iscrowd'] for entry in truth['annotations']) > 0
    assert {entry['id'] for entry in truth['categories']} > {entry['category_id'] for entry in truth['annotations']}
    results = random_results(default_rng(2), truth)
    assert max(len(found['labels']) for found in results) > 100
    assert not all(len(found['labels']) for found in results)
    compare(truth, results, use_categories, max_detections)


def test_without_the_threads_of_the_library(monkeypatch):
    """A process that was forked after an evaluation lacks them, and would wait for ever: pycocotools takes over."""
    generator = default_rng(4)
    truth = random_truth(generator, ['b', 'a'], [1, 2], first_id=0)
    results = random_results(generator, truth)
    evaluations = [evaluate_boxes(index(truth), [1, 2], results, True, MAX_DETECTIONS, COCO_IOUS)]
    monkeypatch.setitem(box_evaluation._threads, 'lost', True)
    monkeypatch.setattr(box_evaluation, 'hotcoco', None)
    evaluations.append(evaluate_boxes(index(truth), [1, 2], results, True, MAX_DETECTIONS, COCO_IOUS))
    np.testing.assert_allclose(evaluations[0].stats, evaluations[1].stats, rtol=0, atol=1e-12)
    np.testing.assert_allclose(*(one.eval['precision'] for one in evaluations), rtol=0, atol=1e-12)
    assert max(evaluations[0].stats) > 0


@pytest.mark.parametrize('started', [False, True])
def test_a_fork_loses_threads_that_were_started(monkeypatch, started):
    monkeypatch.setitem(box_evaluation._threads, 'started', started)
    child = os.fork()
    if child == 0:
        os._exit(int(box_evaluation._threads['lost']))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == int(started)
    assert not box_evaluation._threads['lost']


def test_table(capsys):
    generator = default_rng(3)
    truth = random_truth(generator, [1, 2, 3], [1, 2])
    results = random_results(generator, truth)
    by_pycocotools(truth, results, True, MAX_DETECTIONS, COCO_IOUS)
    table = capsys.readouterr().out.splitlines()[-12:]
    evaluate_boxes(index(truth), [1, 2], results, True, MAX_DETECTIONS, COCO_IOUS)
    assert capsys.readouterr().out.splitlines()[-12:] == table


def test_are_finite():
    def found(box=(1, 2, 3, 4), score=0.5):
        return [dict(bboxes=np.array([box, (0, 0, 1, 1)], np.float32), scores=np.array([0.1, score]))]

    truth, broken = (index(dict(annotations=[dict(id=1, image_id=1, bbox=[1, 2, 3, last])])) for last in (4, np.nan))
    assert are_finite(truth, found())
    assert are_finite(index(dict(annotations=[])), found())
    assert not are_finite(broken, found())
    assert not are_finite(truth, found(box=(1, 2, np.inf, 4)))
    assert not are_finite(truth, found(score=np.nan))
