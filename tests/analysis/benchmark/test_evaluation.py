"""COCO evaluation by both libraries."""

import json
from collections import Counter

import numpy as np
import pytest

from sparse_rcnn_ext.analysis.benchmark import Comparison, evaluation
from sparse_rcnn_ext.analysis.benchmark.evaluation import (
    ITEMS,
    PEAK,
    WHOLE,
    check_same_numbers,
    measure_evaluation,
    read_results,
    synthetic,
)
from sparse_rcnn_ext.errors import UserError

CATEGORIES = [dict(id=7, name='cat'), dict(id=3, name='dog')]
IMAGES = [dict(id=5, file_name='5.jpg', width=100, height=80), dict(id=6, file_name='6.jpg', width=50, height=50)]
ROW = dict(image_id=5, category_id=3, bbox=[10, 20, 30, 40], score=0.5)


@pytest.fixture
def files(tmp_path):
    truth = tmp_path / 'truth.json'
    annotation = dict(id=1, image_id=5, category_id=3, bbox=[10, 20, 30, 40], area=1200, iscrowd=0)
    truth.write_text(json.dumps(dict(images=IMAGES, annotations=[annotation], categories=CATEGORIES)))

    def write(found):
        path = tmp_path / 'detections.json'
        path.write_text(json.dumps(found))
        return truth, path

    return write


@pytest.fixture
def one_process(monkeypatch) -> None:
    """In place of a peak, from a process that takes seconds to start, the length of the backend's name."""
    monkeypatch.setattr(evaluation, 'peak_of', lambda backend, annotations, detections: len(backend))


def test_synthetic_scene():
    truth, found = synthetic(images=20, boxes=6, seed=0)
    assert len(truth['images']) == 20 and len(truth['annotations']) == 120 and len(found) == 2000
    assert set(Counter(row['image_id'] for row in found).values()) == {100}
    assert len({entry['id'] for entry in truth['annotations']}) == 120
    assert {row['category_id'] for row in found} <= {entry['id'] for entry in truth['categories']}
    assert synthetic(20, 6, 0)[1] == found and synthetic(20, 6, 1)[1] != found


def test_result(tiny, one_process):
    result = measure_evaluation(tiny, images=3)
    found, peak = result.comparisons
    # What the processes measure is asked in tests/tools/test_benchmark.py; here, that each side keeps its own.
    assert peak == Comparison(PEAK, 'B', (len(evaluation.OURS),), (len(evaluation.THEIRS),))
    assert found.name == WHOLE and len(found.ours) == len(found.theirs) == 2 and min(found.ours + found.theirs) > 0
    assert result.title == '3 images, 300 detections'
    # Detections near the truth must count, or nothing would be evaluated.
    assert float(result.notes[0].rpartition('AP is ')[2].rstrip('.')) > 0.05


def test_given_detections(tiny, files, one_process):
    result = measure_evaluation(tiny, 500, *files([ROW]))
    assert result.title == '2 images, 1 detections' and 'AP is 1.000' in result.notes[0]


def test_rows_become_what_a_metric_keeps(files):
    (first, second), classes = read_results(*files([ROW, ROW | dict(category_id=7, score=0.25)]))
    assert classes == ('cat', 'dog')
    assert first[0] == dict(img_id=5, width=100, height=80)
    np.testing.assert_array_equal(first[1]['bboxes'], [[10, 20, 40, 60]] * 2)
    assert first[1]['labels'].tolist() == [1, 0] and first[1]['scores'].tolist() == [0.5, 0.25]
    assert second[1]['bboxes'].shape == (0, 4)


@pytest.mark.parametrize('found', [dict(a=1), [dict(image_id=5)], [ROW | dict(image_id=9)], [ROW | dict(bbox=[1, 2])]])
def test_other_files_are_one_sentence(files, found):
    with pytest.raises(UserError, match=r'detections.json does not hold detections of .*truth.json') as refused:
        read_results(*files(found))
    assert '\n' not in str(refused.value)


def test_no_file(files, tmp_path):
    truth, _ = files([])
    with pytest.raises(UserError, match=r'the detections .*absent.json do not exist'):
        read_results(truth, tmp_path / 'absent.json')


def test_half_a_pair_of_files(tiny, tmp_path):
    with pytest.raises(UserError, match='--annotations and --detections belong together'):
        measure_evaluation(tiny, 3, annotations=tmp_path / 'a.json')
    with pytest.raises(UserError, match='--images is 0'):
        measure_evaluation(tiny, 0)


def test_other_numbers_are_refused():
    numbers = {f'bbox_{item}': 0.5 for item in ITEMS}
    assert len(numbers) == 12
    check_same_numbers(numbers, dict(numbers))
    check_same_numbers(numbers, numbers | {'bbox_AR_s@100': 0.501})
    with pytest.raises(UserError, match=r'AR_s@100 is 0.5 by hotcoco and 0.502 by pycocotools'):
        check_same_numbers(numbers, numbers | {'bbox_AR_s@100': 0.502})
    with pytest.raises(UserError, match='the evaluation lacks mAP_75'):
        check_same_numbers(numbers, {name: value for name, value in numbers.items() if name != 'bbox_mAP_75'})


def test_every_backend_is_asked(tiny, one_process, monkeypatch):
    """The two sides are two libraries: each is asked in turn, and none for the other."""
    asked = []
    original = evaluation._numbers
    monkeypatch.setattr(
        evaluation, '_numbers', lambda metric, results: asked.append(metric.backend) or original(metric, results)
    )
    measure_evaluation(tiny, images=2)
    assert asked == ['hotcoco', 'pycocotools'] * 3
