"""The ground truth of a data set in COCO's terms."""

import copy
import json
from pathlib import Path

import pytest
from mmdet.registry import DATASETS

from sparse_rcnn_ext.report.evidence import read_truth
from sparse_rcnn_ext.report.predictions import read_results
from tests.visualization.conftest import CLASSES, OBJECTS


def boxes_of(truth) -> list[tuple]:
    keys = ('image_id', 'category_id', 'bbox', 'area', 'iscrowd')
    return [tuple(entry[key] for key in keys) for entry in truth.dataset['annotations']]


def test_coco_file(dataset):
    truth = read_truth(dataset, range(3))
    assert [image['id'] for image in truth.dataset['images']] == [1, 2, 3]
    assert [category['name'] for category in truth.dataset['categories']] == list(CLASSES)
    assert boxes_of(truth) == [
        (image, category - 1, list(map(float, box)), box[2] * box[3], crowd)
        for image, objects in enumerate(OBJECTS, start=1)
        for box, category, crowd in objects
    ]
    assert [entry['id'] for entry in truth.dataset['annotations']] == [1, 2, 3, 4]


def test_some_images(dataset):
    truth = read_truth(dataset, [2, 1])
    assert [image['id'] for image in truth.dataset['images']] == [3, 2]
    assert [box[:2] for box in boxes_of(truth)] == [(3, 2)]


@pytest.fixture
def odd(picture_config, tmp_path: Path):
    """Classes in another order than the file's, without the dog; a mask's area, and a box without end."""
    cfg = copy.deepcopy(picture_config.test_dataloader.dataset)
    content = json.loads(Path(cfg.data_root, cfg.ann_file).read_text())
    content['annotations'][0]['area'] = 17.0
    content['annotations'][3]['bbox'][2] = float('inf')
    path = tmp_path / 'odd.json'
    path.write_text(json.dumps(content))
    cfg.update(type='sparse_rcnn_ext.CocoDataset', ann_file=str(path), metainfo=dict(classes=('owl', 'cat')))
    return DATASETS.build(cfg)


def test_names_areas_and_odd_boxes(odd):
    assert boxes_of(read_truth(odd, range(3))) == [
        (1, 1, [10.0, 10.0, 30.0, 20.0], 17.0, 0),
        (1, 0, [50.0, 5.0, 45.0, 12.0], 45.0 * 12, 1),
    ]


def test_a_class_that_the_file_lacks(picture_config, dataset, tmp_path: Path):
    """It has no object; those of the others are what they are."""
    cfg = copy.deepcopy(picture_config.test_dataloader.dataset)
    cfg.update(type='sparse_rcnn_ext.CocoDataset', metainfo=dict(classes=('fox', *CLASSES)), test_mode=True)
    more = DATASETS.build(cfg)
    truth = read_truth(more, range(3))
    assert [category['name'] for category in truth.dataset['categories']] == ['fox', *CLASSES]
    labels = [box[1] for box in boxes_of(read_truth(dataset, range(3)))]
    assert labels and [box[1] for box in boxes_of(truth)] == [label + 1 for label in labels]
    found = tmp_path / 'found.json'
    found.write_text(json.dumps([dict(image_id=1, category_id=1, score=0.5, bbox=[1, 2, 3, 4])]))
    assert [one['labels'].tolist() for one in read_results(found, more)] == [[1], [], []]


def test_other_formats_give_their_instances(dataset):
    class Wrapped:
        """No COCO data set, but with the same images."""

        metainfo = dataset.metainfo
        get_data_info = staticmethod(dataset.get_data_info)

    assert boxes_of(read_truth(Wrapped(), range(3))) == boxes_of(read_truth(dataset, range(3)))


def test_joined_data_sets(odd, picture_config):
    """Each image by its index, as the ids are the same; areas are those of the files."""
    cfg = copy.deepcopy(picture_config.test_dataloader.dataset)
    same = dict(cfg, type='sparse_rcnn_ext.CocoDataset', ann_file=odd.ann_file, metainfo=dict(classes=('owl', 'cat')))
    joined = DATASETS.build(dict(type='ConcatDataset', datasets=[same, dict(same, indices=[0, 1])]))
    truth = read_truth(joined, [3, 4, 0])
    assert [image['id'] for image in truth.dataset['images']] == [3, 4, 0]
    of_first = [(*box[1:],) for box in boxes_of(read_truth(odd, [0]))]
    assert boxes_of(truth) == [(image, *box) for image in (3, 0) for box in of_first]
