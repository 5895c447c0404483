"""COCO's result format, read back by pycocotools."""

import json

import numpy as np
import pytest
from pycocotools.coco import COCO

from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.prediction import AnnotationIds, CocoFiles, CocoIds
from sparse_rcnn_ext.prediction.frames import Frame
from tests.prediction.pictures import detections, in_memory, source

CLASSES = ('cat', 'dog')
IMAGE = np.zeros((30, 40, 3), np.uint8)


def write(path, ids: CocoIds) -> None:
    files = CocoFiles(path, ids)
    files.add(
        Frame(in_memory(IMAGE), source('b.jpg', 'x/b.jpg')),
        detections((1, 2, 11, 22, 0.75, 1), (3, 4, 5.5, 6, 0.25, 0)),
    )
    files.add(Frame(in_memory(IMAGE), source('empty.jpg')), detections())
    files.add(Frame(in_memory(IMAGE[:20]), source('clip.mp4'), 7, 25.0), detections((-1, 0, 9, 9, 0.5, 1)))
    assert not path.exists(), 'an unfinished file has another name'
    files.close()


def test_pycocotools_reads_both_files(tmp_path):
    path = tmp_path / 'new/found.json'
    write(path, CocoIds(CLASSES))
    assert sorted(file.name for file in path.parent.iterdir()) == ['found.images.json', 'found.json']
    listed = COCO(str(path.with_name('found.images.json')))
    assert listed.dataset['categories'] == [dict(id=1, name='cat'), dict(id=2, name='dog')]
    assert listed.dataset['images'] == [
        dict(id=1, file_name='x/b.jpg', width=40, height=30),
        dict(id=2, file_name='empty.jpg', width=40, height=30),
        dict(id=3, file_name='clip.mp4', width=40, height=20, frame_id=7),
    ]
    found = listed.loadRes(str(path))
    assert [found.anns[number]['bbox'] for number in (1, 2, 3)] == [[1, 2, 10, 20], [3, 4, 2.5, 2], [-1, 0, 10, 9]]
    assert json.loads(path.read_text()) == [
        dict(image_id=1, category_id=2, bbox=[1.0, 2.0, 10.0, 20.0], score=0.75),
        dict(image_id=1, category_id=1, bbox=[3.0, 4.0, 2.5, 2.0], score=0.25),
        dict(image_id=3, category_id=2, bbox=[-1.0, 0.0, 10.0, 9.0], score=0.5),
    ]


def test_without_any_detection_it_is_an_empty_list(tmp_path):
    CocoFiles(tmp_path / 'a.json', CocoIds(CLASSES)).close()
    assert json.loads((tmp_path / 'a.json').read_text()) == []
    assert json.loads((tmp_path / 'a.images.json').read_text())['images'] == []


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(UserError, match='cannot write --json'):
        CocoFiles(tmp_path / 'file/a.json', CocoIds(CLASSES))
    (tmp_path / 'folder.json').mkdir()
    with pytest.raises(UserError, match=r'--json .*folder\.json is a folder: give a file'):
        CocoFiles(tmp_path / 'folder.json', CocoIds(CLASSES))


@pytest.fixture
def ann_file(tmp_path):
    content = dict(
        images=[dict(id=139, file_name='val/a.jpg'), dict(id=7, file_name='val/b.jpg')]
        + [dict(id=number, file_name=f'{number}/same.jpg') for number in (1, 2)],
        categories=[dict(id=90, name='dog'), dict(id=13, name='other'), dict(id=5, name='cat')],
        annotations=[],
    )
    path = tmp_path / 'annotations.json'
    path.write_text(json.dumps(content))
    return path


def test_numbers_of_an_annotation_file(ann_file):
    ids = AnnotationIds(CLASSES, ann_file, [source('p/b.jpg'), source('a.jpg')])
    assert ids.categories == [dict(id=5, name='cat'), dict(id=90, name='dog')]
    assert [ids.next_image(source(name)) for name in ('b.jpg', 'a.jpg')] == [7, 139]


def test_folders_tell_equal_names_apart(tmp_path):
    names = {1: 'a/1.jpg', 2: 'b/1.jpg', 3: '1.jpg', 4: 'x/b/1.jpg', 5: 'y\\c\\1.jpg', 6: 'other/2.jpg'}
    content = dict(images=[dict(id=number, file_name=name) for number, name in names.items()], categories=[])
    path = tmp_path / 'annotations.json'
    path.write_text(json.dumps(content))
    given = {'p/a/1.jpg': 1, 'p/b/1.jpg': 2, '1.jpg': 3, 'x/b/1.jpg': 4, 'y/c/1.jpg': 5, '2.jpg': 6}
    sources = [source(tmp_path / name) for name in given]
    ids = AnnotationIds((), path, sources)
    assert [ids.next_image(one) for one in sources] == list(given.values())
    content['images'].pop(2)
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r'has no image, or several, of the name 1\.jpg: give images that it lists'):
        AnnotationIds((), path, [source(tmp_path / 'elsewhere/1.jpg')])
    with pytest.raises(UserError, match=r'has one image for .*2\.jpg and .*other/2\.jpg: give one of them'):
        AnnotationIds((), path, [source(tmp_path / '2.jpg'), source(tmp_path / 'other/2.jpg')])


def test_an_annotation_file_that_does_not_fit(ann_file):
    for name in ('c.jpg', 'same.jpg', 'clip.mp4'):
        with pytest.raises(UserError, match=f'has no image, or several, of the name {name}'):
            AnnotationIds(CLASSES, ann_file, [source('a.jpg'), source(name)])
    with pytest.raises(UserError, match="has no class 'cow'"):
        AnnotationIds(('cat', 'cow'), ann_file, [])
    ann_file.write_text('[1, 2]')
    for path in (ann_file, ann_file.with_name('gone.json')):
        with pytest.raises(UserError, match='give an annotation file'):
            AnnotationIds(CLASSES, path, [])
