"""Every COCO data set of a config is found, with the settings that decide what is kept."""

import pytest
from mmdet.datasets import CocoDataset
from mmengine.config import Config

from sparse_rcnn_ext.datasets.check.sources import Source, find_sources
from sparse_rcnn_ext.errors import UserError

LOAD = dict(type='LoadImageFromFile')


def dataset(**changes: object) -> dict:
    settings = dict(type='CocoDataset', data_root='data/mine', ann_file='a.json', data_prefix=dict(img='images/'))
    return settings | dict(metainfo=dict(classes=('cat', 'dog')), pipeline=[LOAD]) | changes


def find(train: dict, **others: dict) -> list[Source]:
    config = Config({f'{split}_dataloader': dict(dataset=node) for split, node in dict(train=train, **others).items()})
    return find_sources(config, ('train', *others))


def test_paths_are_joined_as_in_mmengine():
    source, absolute = find(dataset(), val=dataset(ann_file='/x/b.json', data_prefix=dict(img='/x/jpg')))
    assert (source.ann_file, source.path('1.jpg')) == ('data/mine/a.json', 'data/mine/images/1.jpg')
    assert (absolute.ann_file, absolute.path('1.jpg')) == ('/x/b.json', '/x/jpg/1.jpg')
    for mine, node in ((source, dataset()), (absolute, dataset(ann_file='/x/b.json', data_prefix=dict(img='/x/jpg')))):
        built = CocoDataset(
            **{key: value for key, value in node.items() if key not in ('type', 'pipeline')}, lazy_init=True
        )
        assert (mine.ann_file, mine.image_folder) == (built.ann_file, built.data_prefix['img'])


@pytest.mark.parametrize('split', ['train', 'val'])
def test_wrapped_data_sets(split):
    wrapped = dict(
        type='MultiImageMixDataset',
        dataset=dict(
            type='ConcatDataset',
            datasets=[
                dataset(),
                dict(type='RepeatDataset', times=3, dataset=dataset(ann_file='b.json')),
            ],
        ),
    )
    config = Config({f'{split}_dataloader': dict(dataset=wrapped)})
    sources = find_sources(config, ('train', 'val', 'test'))
    assert [source.name for source in sources] == [f'{split} 1', f'{split} 2']
    assert [source.ann_file for source in sources] == ['data/mine/a.json', 'data/mine/b.json']
    assert [source.trains for source in sources] == [split == 'train'] * 2
    assert sources[1].setting == f'{split}_dataloader.dataset.dataset.datasets.1.dataset'


def test_equal_splits_are_one_unless_trained_on():
    sources = find(dataset(), val=dataset(), test=dataset())
    assert [(source.name, source.splits) for source in sources] == [
        ('train', ('train',)),
        ('val, test', ('val', 'test')),
    ]
    assert len(find(dataset(), val=dataset(), test=dataset(ann_file='c.json'))) == 3


def test_filters_count_in_training_only():
    filters = dict(filter_cfg=dict(filter_empty_gt=True, min_size=32))
    train, val = find(dataset(**filters), val=dataset(test_mode=True, **filters))
    assert (train.drop_empty, train.min_size) == (True, 32)
    assert (val.drop_empty, val.min_size) == (False, 0)


def test_how_images_are_read():
    inner = dict(LOAD, color_type='color_ignore_orientation', imdecode_backend='pillow')
    pipeline = [dict(type='RandomChoice', transforms=[[inner], [dict(type='Resize', scale=9)]])]
    plain, nested = find(dataset(), val=dataset(pipeline=pipeline))
    assert (plain.color_type, plain.decoder) == ('color', 'cv2')
    assert (nested.color_type, nested.decoder) == ('color_ignore_orientation', 'pillow')


def test_scale_is_the_own_one_or_that_of_validation():
    many = [LOAD, dict(type='RandomChoiceResize', scales=[(480, 1333), (800, 1333)], keep_ratio=True)]
    fixed = [LOAD, dict(type='Resize', scale=(640, 480), keep_ratio=True)]
    train, val = find(dataset(pipeline=many), val=dataset(pipeline=fixed))
    assert (train.scale, train.keep_ratio) == (val.scale, val.keep_ratio) == ((640, 480), True)
    own = [LOAD, dict(type='Resize', scale=320)]
    train, _ = find(dataset(pipeline=own), val=dataset(pipeline=fixed))
    assert (train.scale, train.keep_ratio) == ((320, 320), False)
    assert find(dataset(pipeline=many))[0].scale is None


def test_classes_come_from_the_config_or_a_file_or_the_class(tmp_path):
    (tmp_path / 'names.txt').write_text('cat\nbig dog\n')
    own, from_file, default = find(
        dataset(),
        val=dataset(metainfo=dict(classes=str(tmp_path / 'names.txt'))),
        test=dataset(metainfo=None),
    )
    assert own.classes == ('cat', 'dog')
    assert from_file.classes == ('cat', 'big dog')
    assert default.classes == CocoDataset.METAINFO['classes']


@pytest.mark.parametrize('classes', ['person', (), ('a', 3)])
def test_unusable_classes(classes):
    with pytest.raises(UserError, match=r'train_dataloader\.dataset\.metainfo\.classes is .*: set it to a tuple of'):
        find(dataset(metainfo=dict(classes=classes)))


def test_other_formats_are_named():
    with pytest.raises(
        UserError, match=r'dataset\.type is VOCDataset, which reads no COCO JSON.*tools/dataset/convert'
    ):
        find(dict(type='VOCDataset', data_root='x', ann_file='y.txt'))


def test_unknown_type():
    with pytest.raises(UserError, match=r'dataset\.type is CocoDatset, which no registry knows'):
        find(dataset(type='CocoDatset'))


def test_no_data_set():
    with pytest.raises(UserError, match='the config defines no data set for val or test'):
        find_sources(Config(dict(train_dataloader=dict(dataset=dataset()))), ('val', 'test'))
