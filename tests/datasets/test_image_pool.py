"""The pool is there in training, follows the data set's subset, and is never copied."""

import copy
import json

import cv2
import numpy as np
import pytest
from mmdet.datasets import CocoDataset

from sparse_rcnn_ext.datasets.image_pool import POOL_KEY, PoolsImages


class Pooled(PoolsImages, CocoDataset):
    METAINFO = {'classes': ('thing',)}


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('images')
    images, annotations = [], []
    for number in range(5):
        cv2.imwrite(str(folder / f'{number}.png'), np.full((10, 10, 3), number, np.uint8))
        images.append(dict(id=number, file_name=f'{number}.png', width=10, height=10))
        annotations.append(dict(id=number + 1, image_id=number, category_id=1, bbox=[1, 1, 5, 5], area=25, iscrowd=0))
    categories = [dict(id=1, name='thing')]
    (folder / 'truth.json').write_text(json.dumps(dict(images=images, annotations=annotations, categories=categories)))
    return folder


def build(folder, **settings):
    return Pooled(data_root=str(folder), ann_file='truth.json', data_prefix=dict(img=''), pipeline=[], **settings)


def test_pool_holds_every_image(folder):
    dataset = build(folder)
    pool = dataset[2][POOL_KEY]
    assert len(pool) == 5
    assert [pool[index]['img_id'] for index in range(5)] == [0, 1, 2, 3, 4]
    assert pool[3] == dataset.get_data_info(3)
    assert POOL_KEY not in pool[3], 'no pool in the pool'


def test_pool_of_a_subset(folder):
    pool = build(folder, indices=2)[0][POOL_KEY]
    assert [pool[index]['img_id'] for index in range(len(pool))] == [0, 1]


def test_no_pool_in_test(folder):
    assert POOL_KEY not in build(folder, test_mode=True)[0]


def test_a_copy_of_a_sample_shares_the_pool(folder):
    sample = build(folder)[0]
    assert copy.deepcopy(sample)[POOL_KEY] is sample[POOL_KEY]


def test_rejected_samples_are_replaced(folder):
    """BaseDataset's rule for pipelines that return None."""
    dataset = build(folder)
    dataset.pipeline.transforms.append(lambda sample: sample if sample['img_id'] == 4 else None)
    np.random.seed(0)
    dataset.max_refetch = 100
    assert dataset[0]['img_id'] == 4
