"""COCO's numbers of what was found."""

import numpy as np
import pytest

from sparse_rcnn_ext.evaluation import CocoMetric
from sparse_rcnn_ext.report.evidence import read_truth
from sparse_rcnn_ext.report.outcomes import STATS, judge
from tests.report.boxes import CLASSES, make_found, make_truth

CAT, DOG, OWL = range(3)


def test_right_half_right_and_wrong():
    truth = make_truth([(CAT, 0, 0, 50, 50), (DOG, 100, 0, 50, 50)], [(DOG, 0, 0, 50, 50)])
    # The cat exactly; one dog at IoU 0.8, the other not at all.
    found = make_found([(CAT, 0.9, 0, 0, 50, 50), (DOG, 0.8, 100, 0, 50, 40)], [])
    judgement = judge(truth, found, CLASSES)
    # 51 of 101 recalls at seven of ten IoUs (0.5, …, 0.8).
    dog = 51 / 101
    np.testing.assert_allclose(judgement.ap_by_class(), [1, 0.7 * dog, np.nan], atol=1e-6)
    assert judgement.stats['AP'] == pytest.approx((1 + 0.7 * dog) / 2)
    assert judgement.stats['AP50'] == pytest.approx((1 + dog) / 2)
    assert np.isnan(judgement.stats['AP small']) and judgement.stats['AP medium'] == judgement.stats['AP']
    assert judgement.objects_by_class().tolist() == [1, 2, 0]
    precision = judgement.precision(0.75)
    assert precision.shape == (101, 3)
    assert precision[:51, DOG].tolist() == [1] * 51 and precision[51:, DOG].tolist() == [0] * 50
    assert judgement.precision(0.85)[:, DOG].max() == 0


def test_a_class_with_nothing_but_a_crowd_has_no_ap():
    truth = make_truth([(CAT, 0, 0, 50, 50), (DOG, 100, 0, 50, 50), (DOG, 0, 100, 50, 50)], crowds=((0, 1), (0, 2)))
    for found in (make_found([(CAT, 0.9, 0, 0, 50, 50)]), make_found([])):
        judgement = judge(truth, found, CLASSES)
        assert judgement.objects_by_class().tolist() == [1, 0, 0]
        assert np.isnan(judgement.ap_by_class()).tolist() == [False, True, True]


def test_equals_the_validation(dataset):
    """AP of the report is what the CocoMetric logs."""
    truth = read_truth(dataset, range(3))
    found = make_found(
        [(0, 0.9, 12, 10, 30, 20), (1, 0.8, 60, 20, 25, 30), (2, 0.7, 52, 5, 20, 10)],
        [(0, 0.6, 0, 0, 9, 9)],
        [(2, 0.5, 5, 30, 40, 45), (2, 0.4, 5, 30, 40, 50)],
    )
    for number, result in enumerate(found, start=1):
        result['img_id'] = number
    metric = CocoMetric(ann_file=dataset.ann_file, metric='bbox', proposal_nums=(1, 10, 100))
    metric.dataset_meta = dataset.metainfo
    results = [(dict(), result) for result in found]
    expected = metric.compute_metrics(results)
    stats = judge(truth, found, dataset.metainfo['classes']).stats
    for name, item in zip(STATS, ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l')):
        value = expected[f'bbox_{item}']
        assert np.isnan(stats[name]) if value == -1 else round(stats[name], 3) == value, name
    assert [result['img_id'] for result in metric.last_detections] == [1, 2, 3]
    assert metric.last_detections[2]['labels'].tolist() == [2, 2]


def test_metric_keeps_labels_as_the_model_gives_them(dataset):
    """Where the file lists the classes in another order, the metric's own labels are the file's."""
    metric = CocoMetric(ann_file=dataset.ann_file, metric='bbox')
    metric.dataset_meta = dict(classes=('owl', 'cat'))
    (found,) = make_found([(0, 0.9, 5, 30, 40, 50)])
    metric.compute_metrics([(dict(), found | dict(img_id=3))])
    assert metric.last_detections[0]['labels'].tolist() == [0]


def test_nothing_found():
    truth = make_truth([(CAT, 0, 0, 50, 50)], [])
    judgement = judge(truth, make_found([], []), CLASSES)
    assert judgement.evaluation is None and set(judgement.stats.values()) == {0.0}
    np.testing.assert_array_equal(judgement.ap_by_class(), [0, np.nan, np.nan])


def test_no_objects():
    judgement = judge(make_truth([]), make_found([(CAT, 0.9, 0, 0, 5, 5)]), CLASSES)
    assert np.isnan(list(judgement.stats.values())).all() and np.isnan(judgement.ap_by_class()).all()


def test_infinite_boxes_are_left_out():
    truth = make_truth([(CAT, 0, 0, 50, 50)])
    inf, nan = float('inf'), float('nan')
    found = make_found([(CAT, 0.9, 0, 0, inf, 50), (CAT, nan, 0, 0, 50, 50), (CAT, 0.5, 0, 0, 50, 50)])
    judgement = judge(truth, found, CLASSES)
    assert judgement.found[0]['scores'].tolist() == [0.5] and judgement.stats['AP'] == pytest.approx(1)


def test_prints_nothing(capsys):
    judge(make_truth([(CAT, 0, 0, 50, 50)]), make_found([(CAT, 0.9, 0, 0, 50, 50)]), CLASSES)
    assert capsys.readouterr().out == ''
