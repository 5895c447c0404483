"""Entries in columns are those of mmdet's CocoDataset, and whatever is unusual goes the other way."""

import json
import pickle
from inspect import signature
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.datasets import CocoDataset as MMDetCocoDataset
from mmengine.dataset import BaseDataset
from numpy.random import Generator, default_rng

from sparse_rcnn_ext.datasets import CocoDataset
from sparse_rcnn_ext.datasets.coco_columns import Texts, read_columns
from sparse_rcnn_ext.datasets.coco_records import CocoRecords
from tests.datasets.tiny_coco import box, cats_and_dogs, write

CLASSES = ('dog', 'owl')
UNLISTED = 99
POLYGON, RLE = [[1.5, 2, 9, 2, 9, 8]], dict(size=[60, 80], counts='abc')


def random_file(generator: Generator) -> dict:
    """Images with and without boxes, in any order; boxes in no image, of no category, outside, tiny, crowds, masks."""
    ids = generator.permutation(50)[: generator.integers(1, 9)].tolist()
    # The last has no box, and one has no class.
    images = [
        dict(id=number, file_name=f'ümlaut {number}.jpg', width=int(generator.choice([80, 30])), height=60.5)
        for number in ids
    ]
    categories = [dict(id=number, name=name) for number, name in ((9, 'dog'), (2, 'cat'), (40, 'owl'))]
    annotations = []
    for number in generator.permutation(int(generator.integers(0, 40))).tolist():
        left, top, width, height = np.round(generator.uniform(-10, 60, 4), 2).tolist()
        shape = [abs(width), abs(height)] if generator.random() < 0.9 else [width, 0.5]
        entry = box(
            number, int(generator.choice([*ids[:-1], UNLISTED])), int(generator.choice([9, 2, 40])), [left, top, *shape]
        )
        entry['iscrowd'] = int(generator.random() < 0.2)
        entry['segmentation'] = [POLYGON, RLE, [], None][generator.integers(4)]
        if generator.random() < 0.1:
            entry['area'] = 0
        if generator.random() < 0.3:
            entry['bbox'] = [int(value) for value in entry['bbox']]
        annotations.append(entry)
    return dict(images=images, categories=categories, annotations=annotations)


def build(kind: type, path: Path, **more):
    arguments = dict(ann_file=str(path), data_prefix=dict(img='photos'), metainfo=dict(classes=CLASSES), pipeline=[])
    # mmengine collects garbage after it has put the entries into bytes, for a second each time.
    return kind(**arguments | dict(serialize_data=False) | more)


def infos(dataset) -> list[dict]:
    return [dataset.get_data_info(index) for index in range(len(dataset))]


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    empty=st.booleans(),
    min_size=st.sampled_from([0, 32]),
    indices=st.sampled_from([None, 2, -1, [1, 0, -1]]),
)
def test_equal_to_mmdet(tmp_path_factory, seed, empty, min_size, indices):
    """The order of the classes is that of the file, where both give the same labels."""
    content = random_file(default_rng(seed))
    path = write(tmp_path_factory.mktemp('random') / 'truth.json', content)
    options = dict(filter_cfg=dict(filter_empty_gt=empty, min_size=min_size))
    theirs = build(MMDetCocoDataset, path, **options)
    if not len(theirs) or (isinstance(indices, list) and len(theirs) < 2):
        return
    theirs, ours = (build(kind, path, indices=indices, **options) for kind in (MMDetCocoDataset, CocoDataset))
    assert isinstance(ours.data_list, CocoRecords)
    assert infos(ours) == infos(theirs)
    assert [ours.get_cat_ids(index) for index in range(len(ours))] == [
        theirs.get_cat_ids(i) for i in range(len(theirs))
    ]
    assert (ours.cat_ids, ours.cat2label) == (theirs.cat_ids, theirs.cat2label)
    images = {key: sorted({*value} - {UNLISTED}) for key, value in theirs.cat_img_map.items()}
    assert {key: sorted({*value}) for key, value in ours.cat_img_map.items()} == {k: v for k, v in images.items() if v}
    assert infos(pickle.loads(pickle.dumps(ours))) == infos(theirs)
    first, *_, last = [*infos(theirs)] * 2
    assert infos(ours.get_subset([0, -1])) == [dict(first, sample_idx=0), dict(last, sample_idx=1)]


@pytest.mark.parametrize('use_crowd', [False, True])
@pytest.mark.parametrize('test_mode', [False, True])
def test_the_same_entries_as_dicts(tmp_path, monkeypatch, use_crowd, test_mode):
    """With what mmdet's data set stumbles over: no area, no iscrowd, and what is marked ignore."""
    content = random_file(default_rng(11))
    for number, entry in enumerate(content['annotations']):
        for key, every in (('area', 3), ('iscrowd', 4), ('segmentation', 5)):
            if number % every == 0:
                entry[key] = None
            elif number % every == 1:
                del entry[key]
        if number % 6 == 0:
            entry['ignore'] = [1, True, 0.5, 0, False, None][number // 6 % 6]
    path = write(tmp_path / 'truth.json', content)
    options = dict(use_crowd=use_crowd, test_mode=test_mode, filter_cfg=dict(filter_empty_gt=True))
    as_records = build(CocoDataset, path, **options)
    monkeypatch.setattr(CocoDataset, '_can_be_columns', lambda self: False)
    as_dicts = build(CocoDataset, path, **options)
    assert isinstance(as_records.data_list, CocoRecords) and not isinstance(as_dicts.data_list, CocoRecords)
    assert infos(as_records) == infos(as_dicts)
    assert sum(one['ignore_flag'] for info in infos(as_records) for one in info['instances']) > 0 or use_crowd


def test_nothing_is_copied_when_a_process_forks(tmp_path):
    """Python counts references inside its objects, and so writes into the pages of lists and dicts; arrays stay."""
    path = write(tmp_path / 'truth.json', random_file(default_rng(5)))
    records = build(CocoDataset, path, serialize_data=True).data_list
    parts = {**vars(records), **vars(records._columns)}
    assert {name for name, value in parts.items() if isinstance(value, (np.ndarray, Texts))} >= {
        *('_labels', '_ignored', '_xyxy', '_kept', '_places', 'image_ids', 'sizes', 'file_names', 'starts', 'masks'),
    }
    others = {name for name, value in parts.items() if isinstance(value, (list, dict, tuple, set))}
    assert others == {'category_ids', 'counts'}  # an entry a category


def test_a_part_of_many_boxes(tmp_path, monkeypatch):
    """More boxes than are read at a time."""
    content = random_file(default_rng(7))
    path = write(tmp_path / 'truth.json', content)
    expected = infos(build(CocoDataset, path))
    monkeypatch.setattr('sparse_rcnn_ext.datasets.coco_columns._CHUNK', 3)
    assert len(content['annotations']) > 9
    assert infos(build(CocoDataset, path)) == expected


@pytest.mark.parametrize('part', ['images', 'annotations'])
def test_empty_lists(tmp_path, part):
    path = write(tmp_path / 'truth.json', {**cats_and_dogs(2), part: []})
    columns = read_columns(str(path))
    records = CocoRecords(columns, {3: 0, 7: 1}, '', False)
    assert len(records) == (0 if part == 'images' else 2)
    assert [info['instances'] for info in records] == [[]] * len(records)
    assert len(records.filtered(True, 0)) == 0


@pytest.mark.parametrize(
    ('part', 'change'),
    [
        ('images', dict(id='0')),
        ('images', dict(id=1)),
        ('images', dict(file_name=' ')),
        ('images', dict(width=0)),
        ('images', dict(height='60')),
        ('images', dict(width=1e10)),
        ('categories', dict(id=7)),
        ('categories', dict(name='dog')),
        ('annotations', dict(id=2)),
        ('annotations', dict(id=2**60)),
        ('annotations', dict(image_id='0')),
        ('annotations', dict(category_id=None)),
        ('annotations', dict(bbox=[1, 2, 3])),
        ('annotations', dict(bbox=[1, 2, 3, float('nan')])),
        ('annotations', dict(bbox=[1, 2, 3, float('inf')])),
        ('annotations', dict(bbox=[1, 2, 3, 2**60])),
        ('annotations', dict(area='9')),
        ('annotations', dict(iscrowd=2)),
        ('annotations', dict(iscrowd=True)),
    ],
)
def test_what_is_unusual_is_left_to_the_other_way(tmp_path, part, change):
    content = cats_and_dogs(2)
    assert read_columns(str(write(tmp_path / 'usual.json', content))) is not None
    content[part][0] |= change
    assert read_columns(str(write(tmp_path / 'unusual.json', content))) is None


def test_no_such_file_and_no_json(tmp_path):
    assert read_columns(str(tmp_path / 'gone.json')) is None
    for text in ('', '[]', '{"images": []}', json.dumps(cats_and_dogs())[:-9]):
        assert read_columns(str(write(tmp_path / 'broken.json', text))) is None


@pytest.mark.parametrize(
    'settings',
    [
        dict(return_classes=True),
        dict(base_names=True),
        dict(held_out=dict(part='val', val_fraction=0.5)),
        dict(data_prefix=dict(img='photos', seg='masks')),
    ],
)
def test_settings_that_need_dicts(tmp_path, settings):
    dataset = build(CocoDataset, write(tmp_path / 'truth.json', cats_and_dogs(4, cat=2, dog=9, owl=4)), **settings)
    assert isinstance(dataset.data_list, list) and len(dataset) > 0


def test_entries_of_one_s_own(tmp_path):
    class Own(CocoDataset):
        def parse_data_info(self, raw_data_info: dict) -> dict:
            return super().parse_data_info(raw_data_info) | dict(camera=raw_data_info['raw_img_info']['camera'])

    content = cats_and_dogs(2, cat=2, dog=9, owl=4)
    for image in content['images']:
        image['camera'] = f'number {image["id"]}'
    assert [info['camera'] for info in infos(build(Own, write(tmp_path / 'truth.json', content)))] == [
        'number 0',
        'number 1',
    ]


def test_a_copy_has_nothing_of_earlier_ones(tmp_path, monkeypatch):
    """mmengine 0.10.7 keeps what it copied by number in memory, which an object of another data set may get later."""
    path = write(tmp_path / 'truth.json', cats_and_dogs())
    dataset = build(CocoDataset, path, metainfo=dict(classes=('cat', 'dog')))
    dataset.get_subset([0])
    memo = signature(BaseDataset._copy_without_annotation).parameters['memo'].default or {}
    monkeypatch.setitem(memo, id(dataset._metainfo), 'of another')
    assert dataset.get_subset([0]).metainfo == dataset.metainfo
