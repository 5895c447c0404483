"""Annotation files as tools write them, evaluated by either backend."""

import numpy as np
import pytest
from mmdet.evaluation import CocoMetric as MMDetCocoMetric
from numpy.random import default_rng

from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.evaluation import CocoMetric, coco_metric
from tests.evaluation.random_boxes import random_truth, write_json
from tests.evaluation.test_coco_backends import IDS, compute, equal, mask_of, random_case


@pytest.mark.parametrize('metric', [['bbox'], ['bbox', 'segm']])
@pytest.mark.parametrize('backend', coco_metric.BACKENDS)
def test_annotations_from_0(tmp_path, backend, metric):
    """Many tools count from 0: to pycocotools a detection that matches the annotation 0 matches none."""
    truth = random_truth(default_rng(12), [1, 2, 3], IDS)
    results = [(dict(img_id=image['id']), dict(img_id=image['id'], masks=[])) for image in truth['images']]
    found = [[] for _ in results]
    del truth['annotations'][6:]
    for number, annotation in enumerate(truth['annotations']):
        left, top, *_ = box = [10 * number, 20, 10 * number + 40, 70]
        annotation.update(id=number, iscrowd=0, bbox=[left, top, 40, 50], area=2000, segmentation=mask_of(box, 'text'))
        image = annotation['image_id'] - 1
        found[image].append((*box, IDS.index(annotation['category_id'])))
        results[image][1]['masks'].append(mask_of(box, 'bytes'))
    for (_, result), rows in zip(results, found):
        table = np.array(rows, float).reshape(-1, 5)
        result.update(bboxes=table[:, :4], labels=table[:, 4].astype(int), scores=np.ones(len(table)))
    path = write_json(tmp_path / 'truth.json', truth)
    settings = dict(metric=metric, classwise=True, proposal_nums=(1, 10, 100))
    numbers = compute(CocoMetric(path, backend=backend, **settings), truth, results)
    assert {numbers[f'{kind}_mAP'] for kind in metric} == {1.0}
    assert {value for name, value in numbers.items() if name.endswith('_precision') and value >= 0} == {1.0}
    assert compute(MMDetCocoMetric(path, **settings), truth, results)['bbox_mAP'] < 0.9


@pytest.mark.parametrize('backend', coco_metric.BACKENDS)
def test_a_class_that_the_file_lacks(tmp_path, backend):
    """Its AP is unknown, and takes no part in the mean."""
    truth, results = random_case(14)
    path = write_json(tmp_path / 'truth.json', truth)
    settings = dict(classwise=True, proposal_nums=(1, 10, 100))
    expected = compute(MMDetCocoMetric(path, **settings), truth, results)
    assert not any(annotation['category_id'] == IDS[-1] for annotation in truth['annotations'])
    shorter = write_json(tmp_path / 'shorter.json', truth | dict(categories=truth['categories'][:-1]))
    found = compute(CocoMetric(shorter, backend=backend, **settings), truth, results)
    assert equal(found, expected)


@pytest.mark.parametrize('backend', coco_metric.BACKENDS)
def test_objects_marked_ignore(tmp_path, backend):
    """They count neither way, as crowds do; mmdet's metric counts them as missed."""
    truth, results = random_case(13)
    assert sum(annotation['iscrowd'] for annotation in truth['annotations']) > 2
    path = write_json(tmp_path / 'crowds.json', truth)
    for annotation in truth['annotations']:
        annotation['ignore'] = annotation.pop('iscrowd')
    ignored = write_json(tmp_path / 'ignored.json', truth)
    expected = compute(MMDetCocoMetric(path), truth, results)
    assert equal(compute(CocoMetric(ignored, backend=backend), truth, results), expected)
    mistaken = {'annotations': [annotation | dict(iscrowd=0) for annotation in truth['annotations']]}
    mistaken = write_json(tmp_path / 'mistaken.json', truth | mistaken)
    assert not equal(compute(MMDetCocoMetric(mistaken), truth, results), expected)


@pytest.mark.parametrize('backend', coco_metric.BACKENDS)
def test_image_that_the_file_lacks(tmp_path, backend):
    truth, results = random_case(10)
    path = write_json(tmp_path / 'truth.json', truth)
    results[0][1].update(img_id=77, bboxes=np.ones((1, 4)), scores=np.ones(1), labels=np.zeros(1, int))
    with pytest.raises(
        UserError, match=r'truth.json has no image with the id 77 \(1 unknown in all\): set .* ann_file'
    ):
        compute(CocoMetric(path, backend=backend), truth, results)
