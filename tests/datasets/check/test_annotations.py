"""Annotation files are read whatever is broken in them; what is no COCO file ends in one sentence."""

import json

import numpy as np
import pytest

from sparse_rcnn_ext.datasets.check.annotations import read_annotations
from sparse_rcnn_ext.errors import UserError

CATEGORIES = [dict(id=3, name='cat'), dict(id=1, name='dog')]
IMAGE = dict(id=5, file_name='a.jpg', width=10, height=8)
BOX = dict(id=1, image_id=5, category_id=1, bbox=[1, 2, 3, 4], area=12, iscrowd=0)


@pytest.fixture
def read(tmp_path):
    """Write a file with these boxes, images and categories, and read it."""

    def run(annotations=(), images=(IMAGE,), categories=CATEGORIES):
        path = tmp_path / 'a.json'
        content = dict(images=list(images), annotations=list(annotations), categories=list(categories))
        path.write_text(json.dumps(content))
        return read_annotations(str(path), None)

    return run


def test_a_good_file(read):
    found = read([BOX, BOX | dict(id=2, image_id=6, category_id=3, iscrowd=1)], [IMAGE, IMAGE | dict(id=6)])
    assert [image.id for image in found.images] == [5, 6]
    assert found.category_names == ['cat', 'dog']
    assert found.image.tolist() == [0, 1]
    assert found.category.tolist() == [1, 0]
    assert found.xywh.tolist() == [[1, 2, 3, 4]] * 2
    assert found.area.tolist() == [12, 12]
    assert found.crowd.tolist() == [False, True]
    assert not (found.broken | found.ignore | found.numbered_0 | found.no_area | found.no_crowd).any()
    assert (
        found.broken_categories
        == found.broken_images
        == found.repeated_images
        == found.repeated_boxes
        == found.repeated_categories
        == []
    )


def test_no_images_and_no_boxes(read):
    found = read([], [])
    assert found.images == []
    assert found.xywh.shape == (0, 4)
    assert found.image.shape == found.category.shape == found.broken.shape == (0,)


@pytest.mark.parametrize(
    'change',
    [
        *(dict(bbox=bbox) for bbox in (None, [], [1, 2, 3], [1, 2, 3, 4, 5], '1234', [1, 2, 3, '4'])),
        *({key: ...} for key in ('id', 'image_id', 'category_id', 'bbox')),
        *({key: [1]} for key in ('id', 'image_id', 'category_id')),
        dict(area=None),
        dict(area='12'),
    ],
)
def test_broken_boxes(read, change):
    broken = {key: value for key, value in (BOX | change).items() if value is not ...}
    found = read([broken, BOX])
    assert found.broken.tolist() == [True, False]
    assert found.xywh[1].tolist() == [1, 2, 3, 4]


def test_entries_that_are_no_objects(read):
    found = read([3, BOX, None], ['a.jpg', IMAGE], [*CATEGORIES, 'cow', dict(id=9)])
    assert found.broken.tolist() == [True, False, True]
    assert found.broken_images == ['entry 0 of images']
    assert found.category_names == ['cat', 'dog']
    assert found.broken_categories == ['entry 2 of categories', '9']


def test_without_area_and_crowd(read):
    bare = {key: value for key, value in BOX.items() if key not in ('area', 'iscrowd')}
    found = read([bare | dict(bbox=[1, 2, 5, 7])])
    assert (found.area[0], found.crowd[0], found.broken[0]) == (35, False, False)
    assert found.no_area[0]
    assert found.no_crowd[0]


@pytest.mark.parametrize('bad', [float('nan'), float('inf'), -float('inf'), 10**400])
def test_numbers_that_are_not_finite(read, bad):
    found = read([BOX | dict(bbox=[1, bad, 3, 4])])
    assert not np.isfinite(found.xywh[0, 1])
    assert not found.broken[0]


@pytest.mark.parametrize('change', [dict(width=0), dict(height=-1), dict(width=float('nan')), dict(file_name=3)])
def test_broken_images(read, change):
    found = read([BOX], [IMAGE | change])
    assert len(found.broken_images) == 1
    assert found.image.tolist() == [-1]


def test_repeated_ids(read):
    images = [IMAGE, IMAGE | dict(id=6), IMAGE | dict(file_name='b.jpg'), IMAGE | dict(file_name='c.jpg')]
    found = read([BOX, BOX, BOX], images, [*CATEGORIES, dict(id=3, name='cat')])
    # pycocotools keeps the last of equal ids, at the place of the first
    assert [(image.id, image.file_name) for image in found.images] == [(5, 'c.jpg'), (6, 'a.jpg')]
    assert found.repeated_images == [5, 5]
    assert found.repeated_boxes == [1, 1]
    assert found.repeated_categories == ['cat', 'id 3']


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('', 'is empty, cut off or no JSON'),
        ('{"images": [', 'is empty, cut off or no JSON'),
        ('<annotation/>', 'is empty, cut off or no JSON'),
        ('[]', 'holds a list, not the object of a COCO file'),
        ('{"categories": []}', 'has no list "images"'),
        ('{"images": [], "annotations": []}', 'has no list "categories"'),
        ('{"images": [], "categories": [], "annotations": {}}', 'has no list "annotations"'),
        ('{"images": [], "categories": []}', 'has no list "annotations"'),
    ],
)
def test_no_coco_file(tmp_path, content, message):
    path = tmp_path / 'a.json'
    path.write_text(content)
    with pytest.raises(UserError) as error:
        read_annotations(str(path), None)
    assert str(error.value).startswith(f'the annotation file {path} {message}')
    assert '\n' not in str(error.value)


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / 'a.json').write_bytes(b'\xff\xd8\xff\xe0 a photograph')
    with pytest.raises(UserError, match='no JSON'):
        read_annotations(str(tmp_path / 'a.json'), None)


def test_no_file(tmp_path):
    with pytest.raises(UserError, match=r'b\.json does not exist'):
        read_annotations(str(tmp_path / 'b.json'), None)
