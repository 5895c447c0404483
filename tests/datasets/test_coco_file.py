"""A COCO file is read as it is, or refused in one sentence."""

import json

import pytest
from pycocotools.coco import COCO

from sparse_rcnn_ext.datasets.coco_file import CocoFile, load_coco, some_names
from sparse_rcnn_ext.errors import UserError
from tests.datasets.tiny_coco import box, cats_and_dogs, image, write


def test_reads_what_pycocotools_reads(tmp_path):
    path = write(tmp_path / 'truth.json', cats_and_dogs())
    expected, found = COCO(str(path)), CocoFile(str(path))
    assert (found.anns, found.imgs, found.cats) == (expected.anns, expected.imgs, expected.cats)
    assert found.img_ann_map == expected.imgToAnns
    assert found.cat_img_map == expected.catToImgs == {3: [0, 1, 2], 7: [0, 1, 2]}


def test_ids_follow_the_names_asked_for(tmp_path):
    coco = CocoFile(str(write(tmp_path / 'truth.json', cats_and_dogs(cat=3, dog=7, owl=5))))
    assert coco.names == ('cat', 'dog', 'owl')
    assert coco.ids_of(('owl', 'cat', 'dog')) == [5, 3, 7]
    assert coco.ids_of(('dog',)) == [7]


def test_missing_class_lists_both_sides(tmp_path):
    path = write(tmp_path / 'truth.json', cats_and_dogs())
    with pytest.raises(UserError) as error:
        CocoFile(str(path)).ids_of(('bird', 'dog', 'owl'))
    assert str(error.value) == (
        f"{path} lacks 2 of the config's 3 classes, 'bird', 'owl', and has the categories 'cat', 'dog': "
        'set metainfo.classes to names as the file writes them'
    )


def test_a_file_to_evaluate_with_may_lack_classes(tmp_path):
    """If it has no object of another name, which could be the same class misspelt."""
    content = cats_and_dogs(cat=3, dog=7)
    path = write(tmp_path / 'truth.json', content)
    coco = CocoFile(str(path))
    first, *ids, last = coco.ids_of(('owl', 'cat', 'dog', 'bee'), may_lack=True)
    assert ids == [3, 7] and len({first, last, *ids}) == 4
    assert coco.ids_of(('bee', 'cat')) == [last, 3]  # they are categories now
    assert (
        [category['id'] for category in coco.dataset['categories']] == sorted(coco.cats) == sorted([3, 7, first, last])
    )
    with pytest.raises(UserError, match="lacks 1 of the config's 2 classes, 'Dog'"):
        CocoFile(str(path)).ids_of(('cat', 'Dog'), may_lack=True)
    with pytest.raises(UserError, match="lacks 1 of the config's 1 classes"):
        CocoFile(str(write(tmp_path / 'empty.json', {**content, 'annotations': []}))).ids_of(('owl',), may_lack=True)
    texts = {**content, 'annotations': [], 'categories': [dict(id=name, name=name) for name in ('cat', 'dog')]}
    coco = CocoFile(str(write(tmp_path / 'texts.json', texts)))
    assert len({*coco.ids_of(('cat', 'owl', 'bee', 'dog'), may_lack=True)}) == 4 and sorted(coco.cats)


def test_iscrowd_and_area_may_be_missing(tmp_path):
    content = cats_and_dogs(1)
    del content['annotations'][0]['iscrowd'], content['annotations'][0]['area']
    content['annotations'][1].update(iscrowd=1, area=5)
    first, second = CocoFile(str(write(tmp_path / 'truth.json', content))).dataset['annotations']
    assert (first['iscrowd'], first['area']) == (0, 30 * 20)
    assert (second['iscrowd'], second['area']) == (1, 5)


@pytest.mark.parametrize(
    ('text', 'reason'),
    [
        ('', 'is empty, cut off or no JSON'),
        (json.dumps(cats_and_dogs())[:-20], 'is empty, cut off or no JSON'),
        ('\x80', 'is empty, cut off or no JSON'),
        ('[]', 'holds a list: a COCO file is an object of categories, images, annotations'),
        ('{}', 'has no list "categories"'),
        ('{"categories": [], "images": {}}', 'has no list "images"'),
        ('{"categories": [], "images": []}', 'has no list "annotations"'),
    ],
)
def test_no_coco_file(tmp_path, text, reason):
    path = tmp_path / 'truth.json'
    path.write_bytes(text.encode('latin-1'))
    with pytest.raises(UserError) as error:
        load_coco(str(path))
    assert str(error.value).startswith(f'{path} ') and reason in str(error.value)


def test_no_file(tmp_path):
    with pytest.raises(UserError, match=r'annotation file .*nothing\.json does not exist'):
        load_coco(str(tmp_path / 'nothing.json'))


@pytest.mark.parametrize(
    ('part', 'entry', 'reason'),
    [
        ('categories', dict(id=9, name='cat'), '"categories" in .* has 1 names more than once, \'cat\''),
        ('categories', dict(id=3, name='owl'), '"categories" in .* has 1 ids more than once, 3'),
        ('categories', dict(id=9), 'entry 2 of "categories" in .* has no name'),
        ('categories', dict(id=[9], name='owl'), '"categories" in .* has an id that is a list'),
        ('images', image(1), '"images" in .* has 1 ids more than once, 1'),
        ('images', 'a.jpg', 'entry 3 of "images" in .* has no id and no file_name and no width and no height'),
        ('images', dict(image(5), width=None), r'the image 5\.png in .* is None wide and 60 high'),
        ('images', dict(image(5), height=0), r'the image 5\.png in .* is 80 wide and 0 high'),
        ('annotations', box(2, 1, 3, (1, 1, 5, 5)), '"annotations" in .* has 1 ids more than once, 2'),
        (
            'annotations',
            box(9, 1, 3, (1, 1, 5, 5, 5)),
            r'entry 6 of "annotations" in .* has the bbox \[1, 1, 5, 5, 5\]',
        ),
        ('annotations', dict(id=9, image_id=1, category_id=3), 'entry 6 of "annotations" in .* has no bbox'),
    ],
)
def test_broken_entry(tmp_path, part, entry, reason):
    content = cats_and_dogs()
    content[part].append(entry)
    with pytest.raises(UserError, match=reason):
        load_coco(str(write(tmp_path / 'truth.json', content)))


def test_long_lists_are_cut():
    assert some_names(()) == 'none'
    assert some_names(('a', 2)) == "'a', 2"
    assert some_names(range(20)).endswith(', 19')
    assert some_names(range(80)).endswith(', 19 and 60 more')
