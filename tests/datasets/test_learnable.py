"""A training without a box is found by its data set's entries, and the same images in two data sets by their files."""

import pytest
from mmdet.registry import DATASETS
from mmengine.registry import init_default_scope

from sparse_rcnn_ext.datasets.learnable import check_boxes, shared_files
from sparse_rcnn_ext.engine.config.arguments import exit_on_user_error
from sparse_rcnn_ext.errors import UserError
from tests.datasets.tiny_coco import box, cats_and_dogs, write


def settings(tmp_path, name: str = 'truth', kind: str = 'sparse_rcnn_ext.CocoDataset', boxes=None, **more) -> dict:
    content = cats_and_dogs()
    if boxes is not None:
        content['annotations'] = boxes
    path = write(tmp_path / f'{name}.json', content)
    return dict(type=kind, ann_file=str(path), data_prefix=dict(img=''), pipeline=[], **more)


def build(cfg: dict):
    init_default_scope('mmdet')
    return DATASETS.build(cfg)


CROWD = [box(1, 0, 3, (1, 1, 5, 5), iscrowd=1)]
CLASSES = dict(metainfo=dict(classes=('cat', 'dog')))


@pytest.mark.parametrize('kind', ['CocoDataset', 'sparse_rcnn_ext.CocoDataset'])
@pytest.mark.parametrize('boxes', [[], CROWD])
def test_no_box(tmp_path, kind, boxes):
    one = settings(tmp_path, kind=kind, boxes=boxes, **CLASSES)
    for cfg, images in ((one, 3), (dict(type='RepeatDataset', times=2, dataset=one), 3)):
        with pytest.raises(UserError) as error:
            check_boxes(build(cfg), 'train')
        assert str(error.value) == (
            f'none of the {images} images of train has a box of the classes (cat, dog): set its metainfo.classes to '
            f'names of {tmp_path}/truth.json that have boxes which are no crowds'
        )


def test_a_box_anywhere_is_enough(tmp_path):
    empty = settings(tmp_path, 'empty', boxes=[], **CLASSES)
    last = settings(tmp_path, 'last', boxes=[box(1, 2, 7, (1, 1, 5, 5))], **CLASSES)
    check_boxes(build(dict(type='ConcatDataset', datasets=[empty, last])), 'train')
    with pytest.raises(UserError, match='none of the 6 images'):
        check_boxes(build(dict(type='ConcatDataset', datasets=[empty, empty])), 'train')


def test_a_data_set_that_tells_nothing_passes():
    check_boxes([1, 2], 'train')


def test_no_class_of_the_file_in_the_data_set_of_mmdet(tmp_path):
    """Its names are those of the file but for the case."""
    cfg = settings(tmp_path, kind='CocoDataset', filter_cfg=dict(filter_empty_gt=True), metainfo=dict(classes=('Cat',)))
    with pytest.raises(SystemExit) as error, exit_on_user_error():
        build(cfg)
    assert 'no image is left: none has a box of metainfo.classes, as these are written' in str(error.value.code)


def test_shared_files(tmp_path):
    truth, other = settings(tmp_path), settings(tmp_path, 'other')
    joined = build(dict(type='ConcatDataset', datasets=[truth, other]))
    assert shared_files(build(truth), joined) == [truth['ann_file']]
    assert shared_files(build(truth), build(other)) == []
    for part in (dict(indices=2), dict(held_out=dict(part='val', val_fraction=0.4))):
        assert shared_files(build(truth), build(truth | part)) == []
