"""Labels go by the name, and the rest is mmdet's data set."""

import pytest
from mmdet.datasets import CocoDataset as MMDetCocoDataset
from mmengine.logging import MMLogger
from mmengine.registry import DATASETS

from sparse_rcnn_ext.datasets import CocoDataset
from sparse_rcnn_ext.datasets.image_pool import POOL_KEY
from sparse_rcnn_ext.errors import UserError
from tests.datasets.tiny_coco import CAT, DOG, box, cats_and_dogs, image, write


@pytest.fixture
def build(tmp_path):
    """``build(content, **settings)`` gives the data set of a file."""

    def run(content: object, type_: type = CocoDataset, **settings: object) -> MMDetCocoDataset:
        write(tmp_path / 'truth.json', content)
        settings = (
            dict(data_root=str(tmp_path), ann_file='truth.json', data_prefix=dict(img=''), pipeline=[]) | settings
        )
        # mmengine collects garbage after it has put the entries into bytes, for a second each time.
        return type_(**dict(serialize_data=False) | settings)

    return run


@pytest.fixture
def logged(caplog):
    """``logged()`` gives level and text of the lines that mmengine's logger wrote."""
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    yield lambda: [(record.levelname, record.getMessage()) for record in caplog.records]
    logger.removeHandler(caplog.handler)


def named_boxes(dataset: MMDetCocoDataset) -> list[list[tuple]]:
    """Image by image the class name and the box (left, top, right, bottom) of each instance."""
    classes = dataset.metainfo['classes']
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    return [[(classes[one['bbox_label']], tuple(one['bbox'])) for one in info['instances']] for info in infos]


def corners(left, top, width, height):
    return left, top, left + width, top + height


BOTH = [('cat', corners(*CAT)), ('dog', corners(*DOG))]


@pytest.mark.parametrize('ids', [dict(cat=3, dog=7), dict(dog=7, cat=3), dict(cat=7, dog=3), dict(owl=1, dog=2, cat=9)])
@pytest.mark.parametrize('classes', [('cat', 'dog'), ('dog', 'cat'), ['dog', 'cat']])
def test_names_never_swap(build, ids, classes):
    dataset = build(cats_and_dogs(**ids), metainfo=dict(classes=classes))
    assert dataset.metainfo['classes'] == tuple(classes)
    assert named_boxes(dataset) == [BOTH] * 3


def test_mmdet_swaps_them(build):
    """What ours is for: this fails when it is no longer needed."""
    dataset = build(cats_and_dogs(), MMDetCocoDataset, metainfo=dict(classes=('dog', 'cat')))
    assert named_boxes(dataset)[0] == [('dog', corners(*CAT)), ('cat', corners(*DOG))]


def test_missing_class_lists_both_sides(build):
    with pytest.raises(UserError, match=r"lacks 1 of .* 2 classes, 'bird', and has the categories 'cat', 'dog'"):
        build(cats_and_dogs(), metainfo=dict(classes=('bird', 'dog')))


@pytest.mark.parametrize(
    ('classes', 'reason'),
    [
        ('person', r"metainfo.classes is the text 'person': write a tuple of names, such as \('person',\)"),
        ((), r'metainfo.classes is \(\): write a tuple'),
        (('cat', 3), r"metainfo.classes is \('cat', 3\): write a tuple"),
        ({'cat': 1}, 'write a tuple'),
        (('cat', 'dog', 'cat'), "metainfo.classes names 'cat' more than once"),
    ],
)
def test_no_classes(build, classes, reason):
    with pytest.raises(UserError, match=reason):
        build(cats_and_dogs(), metainfo=dict(classes=classes))


def test_classes_from_a_file_of_names(build, tmp_path):
    (tmp_path / 'names.txt').write_text('dog\ncat\n')
    dataset = build(cats_and_dogs(), metainfo=dict(classes=str(tmp_path / 'names.txt')))
    assert dataset.metainfo['classes'] == ('dog', 'cat')
    assert named_boxes(dataset) == [BOTH] * 3


@pytest.mark.parametrize('settings', [{}, dict(lazy_init=True), dict(metainfo=dict(classes=None))])
def test_without_classes_all_of_the_file(build, settings):
    dataset = build(cats_and_dogs(dog=7, owl=1, cat=3), **settings)
    assert dataset.metainfo['classes'] == ('dog', 'owl', 'cat')
    assert named_boxes(dataset) == [BOTH] * 3
    assert len(dataset.metainfo['palette']) == 3


def test_no_categories(build):
    with pytest.raises(UserError, match=r'truth\.json has no categories'):
        build(dict(images=[image(1)], annotations=[], categories=[]))


def test_many_classes_have_no_palette(build):
    """mmdet's visualizer makes colours of its own where there is none, and stops where there are too few."""
    dataset = build(cats_and_dogs(cat=1, dog=2, **{f'name{number}': number for number in range(3, 90)}))
    assert 'palette' not in dataset.metainfo


def crowded() -> dict:
    content = cats_and_dogs(2)
    content['annotations'].append(box(50, 0, 7, (1, 1, 70, 50), iscrowd=1))
    return content


@pytest.mark.parametrize('mark', ['iscrowd', 'ignore'])
@pytest.mark.parametrize('use_crowd', [False, True])
def test_crowds(build, use_crowd, mark):
    content = crowded()
    content['annotations'][-1] |= {'iscrowd': 0, mark: 1}
    instances = build(content, use_crowd=use_crowd).get_data_info(0)['instances']
    assert [one['bbox_label'] for one in instances] == [0, 1, 1]
    assert [one['ignore_flag'] for one in instances] == [0, 0, 0 if use_crowd else 1]


def test_same_as_mmdet_where_orders_agree(build):
    content = crowded()
    boxes = (
        (-5, -5, 20, 20),
        (79.5, 1, 9, 9),
        (90, 1, 9, 9),
        (3, 3, 0, 9),
        (3, 3, 0.5, 9),
        (3, 3, 9, -2),
        (1, 1, 2, 2),
    )
    content['annotations'] += [box(number, 1, 3, bbox) for number, bbox in enumerate(boxes, start=60)]
    content['images'].append(image(8))
    settings = dict(metainfo=dict(classes=('cat', 'dog')))
    for more in (
        {},
        dict(filter_cfg=dict(filter_empty_gt=True, min_size=10)),
        dict(indices=2),
        dict(indices=[2, 0]),
        dict(test_mode=True),
    ):
        ours, theirs = build(content, **settings, **more), build(content, MMDetCocoDataset, **settings, **more)
        assert len(ours) == len(theirs) > 0
        assert [ours.get_data_info(i) for i in range(len(ours))] == [theirs.get_data_info(i) for i in range(len(ours))]
        assert ours.cat_ids == theirs.cat_ids


def test_infinite_boxes_are_left_out(build):
    content = cats_and_dogs(1)
    content['annotations'] += [box(60, 0, 3, (1, 1, float('inf'), 9)), box(61, 0, 3, (1, float('nan'), 9, 9))]
    assert named_boxes(build(content)) == [BOTH]


def test_filters_and_subsets(build):
    content = cats_and_dogs(3)
    content['images'] += [image(10), dict(image(11), width=30)]
    content['annotations'] = [one for one in content['annotations'] if one['image_id'] != 1 or one['category_id'] == 3]

    def ids(**settings):
        dataset = build(content, metainfo=dict(classes=('dog',)), **settings)
        return [dataset.get_data_info(index)['img_id'] for index in range(len(dataset))]

    assert ids() == [0, 1, 2, 10, 11]
    assert ids(filter_cfg=dict(min_size=40)) == [0, 1, 2, 10]
    assert ids(filter_cfg=dict(filter_empty_gt=True)) == [0, 2]
    assert ids(filter_cfg=dict(filter_empty_gt=True), test_mode=True) == [0, 1, 2, 10, 11]
    assert ids(indices=2) == [0, 1]
    subset = build(content, serialize_data=True).get_subset([2, 0])
    assert [subset.get_data_info(index)['img_id'] for index in range(2)] == [2, 0]
    assert named_boxes(subset) == [BOTH] * 2


def test_nothing_left_to_train_on(build):
    with pytest.raises(UserError, match=r'truth\.json lists 3 images, and filter_cfg=.*min_size.* leaves none'):
        build(cats_and_dogs(3), filter_cfg=dict(min_size=100))


def test_training_samples_bring_the_pool_along(build):
    assert len(build(cats_and_dogs())[0][POOL_KEY]) == 3
    assert POOL_KEY not in build(cats_and_dogs(), test_mode=True)[0]


def test_unknown_categories_are_one_warning(build, logged):
    content = cats_and_dogs(2)
    content['annotations'] += [box(60, 0, 9, CAT), box(61, 1, 9, CAT), box(62, 1, 12, DOG)]
    assert named_boxes(build(content)) == [BOTH] * 2
    (line,) = [text for level, text in logged() if level == 'WARNING']
    assert line.endswith('3 boxes are left out, because the file lists no category with their category_id: 9, 12')


def test_other_categories_are_told(build, logged):
    build(cats_and_dogs(2, cat=3, dog=7, owl=8), metainfo=dict(classes=('cat',)))
    (line,) = [text for _, text in logged() if 'left out' in text]
    assert line.endswith("left out, as they are none of the classes: 'dog' (2 boxes), 'owl' (0 boxes)")


def test_built_from_a_config(tmp_path):
    path = write(tmp_path / 'truth.json', cats_and_dogs())
    dataset = DATASETS.build(
        dict(type='sparse_rcnn_ext.CocoDataset', ann_file=str(path), data_prefix=dict(img=''), pipeline=[])
    )
    assert type(dataset) is CocoDataset


def test_typing_mistake_in_a_setting(build):
    with pytest.raises(TypeError, match='use_crowds'):
        build(cats_and_dogs(), use_crowds=True)
