"""Pascal VOC to COCO."""

import json
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

import cv2
import pytest
from PIL import Image

from sparse_rcnn_ext.datasets.convert.coco_json import NO_AREA, CocoJson
from sparse_rcnn_ext.datasets.convert.voc import TAKEN_FROM_0, WITHOUT_XML, convert_voc
from sparse_rcnn_ext.errors import UserError
from tests.datasets.convert.minis import (
    HEIGHT,
    WIDTH,
    voc_object,
    write_image,
    write_list,
    write_voc_image,
    write_xml,
)


def convert(root: Path, first_pixel: int | None = 1, classes: list[str] | None = None) -> CocoJson:
    """The one split of a folder without lists."""
    converted, images = convert_voc(root, None, classes, first_pixel)
    assert list(converted) == ['all'] and images == 'JPEGImages'
    return converted['all']


def boxes(coco: CocoJson) -> list[list[float]]:
    return [annotation['bbox'] for annotation in coco.annotations]


def test_pixels_from_1_become_edges_from_0(tmp_path):
    write_voc_image(
        tmp_path,
        'a',
        voc_object('cat', 10, 20, 30, 40),
        voc_object('cat', 1, 1, WIDTH, HEIGHT),
        voc_object('cat', 5.5, 6, 7, 8),
    )
    coco = convert(tmp_path)
    # 21 columns from the 10th to the 30th; the first pixel to the last is the image.
    assert boxes(coco) == [[9, 19, 21, 21], [0, 0, WIDTH, HEIGHT], [4.5, 5, 2.5, 3]]
    assert [annotation['area'] for annotation in coco.annotations] == [441, WIDTH * HEIGHT, 7.5]
    assert not coco.left_out and not coco.noted


def test_zero_based_edges_stay(tmp_path):
    write_voc_image(tmp_path, 'a', voc_object('cat', 10, 20, 30, 40), voc_object('cat', 0, 0, WIDTH, HEIGHT))
    assert boxes(convert(tmp_path, 0)) == [[10, 20, 20, 20], [0, 0, WIDTH, HEIGHT]]


def test_difficult_is_crowd_and_flags_stay(tmp_path):
    write_voc_image(
        tmp_path,
        'a',
        voc_object('cat', 10, 20, 30, 40, difficult=1),
        voc_object('cat', 50, 20, 70, 40, truncated=1),
        '<object><name>cat</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object>',
    )
    flags = [tuple(box[key] for key in ('iscrowd', 'difficult', 'truncated')) for box in convert(tmp_path).annotations]
    assert flags == [(1, 1, 0), (0, 0, 1), (0, 0, 0)]


def test_ids_do_not_depend_on_the_split(tmp_path):
    write_voc_image(tmp_path, 'a', voc_object('dog', 1, 1, 9, 9))
    write_voc_image(tmp_path, 'b', voc_object('cat', 1, 1, 9, 9), voc_object('dog', 1, 1, 9, 9))
    write_list(tmp_path, 'train', 'a')
    write_list(tmp_path, 'val', 'b.jpg')  # with suffix, as some tools list them
    write_list(tmp_path, 'mine', 'b', 'a')
    converted = convert_voc(tmp_path, None, None, 1)[0]
    assert list(converted) == ['train', 'val']
    assert all(coco.classes == ('cat', 'dog') for coco in converted.values())
    assert [box['category_id'] for box in converted['train'].annotations] == [2]
    assert [box['category_id'] for box in converted['val'].annotations] == [1, 2]
    mine = convert_voc(tmp_path, ['mine'], ['dog', 'cat'], 1)[0]['mine']
    assert [(image['id'], image['file_name']) for image in mine.images] == [(1, 'b.jpg'), (2, 'a.jpg')]
    assert [(box['id'], box['image_id'], box['category_id']) for box in mine.annotations] == [
        (1, 1, 2),
        (2, 1, 1),
        (3, 2, 1),
    ]


def test_a_chosen_class_keeps_images_without_it(tmp_path):
    write_voc_image(tmp_path, 'a', voc_object('dog', 1, 1, 9, 9))
    write_voc_image(tmp_path, 'b', voc_object('cat', 1, 1, 9, 9))
    coco = convert(tmp_path, classes=['cat'])
    assert len(coco.images) == 2 and [box['image_id'] for box in coco.annotations] == [2]
    assert coco.left_out == {'boxes of a class that is not asked for (dog)': ['a.xml']}


def test_boxes_that_cannot_be_trained_on_are_counted(tmp_path):
    write_voc_image(
        tmp_path,
        'a',
        voc_object('cat', 10, 20, 30, 40),
        voc_object('cat', 50, 33, 50, 33),
        voc_object('cat', 50, 33, 60, 33),
        voc_object('cat', 50, 33, 40, 43),
        voc_object('cat', 'nan', 1, 10, 10),
        voc_object('cat', 1, 1, 'inf', 10),
        voc_object('cat', WIDTH + 5, 1, WIDTH + 9, 10),
        voc_object('cat', 0, -3, 30, 40),
        voc_object('cat', 20, 20, WIDTH + 20, 40),
    )
    coco = convert(tmp_path)
    assert boxes(coco) == [[9, 19, 21, 21], [0, 0, 30, 40], [19, 19, WIDTH - 19, 21]]
    assert {reason: len(places) for reason, places in coco.left_out.items()} == {
        NO_AREA: 5,
        'boxes outside their image': 1,
    }
    assert coco.noted == {'boxes cut at the border of their image': ['a.xml', 'a.xml']}
    assert 'left out: boxes without area (no width or height, inverted, or no number): 5, in a.xml' in coco.summary()
    json.dumps(coco.annotations, allow_nan=False)


def test_images_that_cannot_be_used_are_counted(tmp_path):
    cat = voc_object('cat', 10, 20, 30, 40)
    write_voc_image(tmp_path, 'good', cat)
    write_xml(tmp_path, 'imageless', cat)
    write_image(tmp_path / 'JPEGImages/unlabelled.jpg')
    write_voc_image(tmp_path, 'broken', cat)
    (tmp_path / 'JPEGImages/broken.jpg').write_bytes(b'no image')
    write_voc_image(tmp_path, 'badxml', cat)
    (tmp_path / 'Annotations/badxml.xml').write_text('<annotation><object>')
    names = ('good', 'imageless', 'unlabelled', 'broken', 'badxml', 'good')
    write_list(tmp_path, 'train', *names)
    coco = convert_voc(tmp_path, None, None, 1)[0]['train']
    assert [image['file_name'] for image in coco.images] == ['good.jpg', 'unlabelled.jpg']
    assert [box['image_id'] for box in coco.annotations] == [1]
    assert coco.noted == {WITHOUT_XML: ['unlabelled']}
    assert coco.left_out == {
        'images that are not there': ['imageless.jpg'],
        'images that cannot be read': ['broken.jpg'],
        'images whose annotation file is no XML': ['badxml.xml'],
        'images that are listed twice': ['good.jpg'],
    }


def test_the_files_count_and_not_what_the_xml_says_of_them(tmp_path):
    cat = voc_object('cat', 10, 20, 90, 40)
    small, none = (f'<size><width>{side}</width><height>{side}</height></size>' for side in (50, 0))
    write_voc_image(tmp_path, 'a', cat, file_name='old_name.jpg', size=small)
    write_voc_image(tmp_path, 'b', cat, size=none)
    write_voc_image(tmp_path, 'c', cat, size='', file_name='')
    write_xml(tmp_path, 'd', cat, file_name='d.png')
    write_image(tmp_path / 'JPEGImages/d.png')
    coco = convert(tmp_path)
    assert [image['file_name'] for image in coco.images] == ['a.jpg', 'b.jpg', 'c.jpg', 'd.png']
    assert {(image['width'], image['height']) for image in coco.images} == {(WIDTH, HEIGHT)}
    assert boxes(coco) == [[9, 19, 81, 21]] * 4
    assert [places for reason, places in coco.noted.items() if 'another size' in reason] == [['a.xml']]


def test_of_two_images_of_one_name_the_xml_chooses(tmp_path):
    write_voc_image(tmp_path, 'a', voc_object('cat', 1, 1, 9, 9), file_name='a.png')
    write_image(tmp_path / 'JPEGImages/a.png')
    assert [image['file_name'] for image in convert(tmp_path).images] == ['a.png']


def test_size_of_a_photograph_that_its_exif_turns(tmp_path):
    write_voc_image(tmp_path, 'a', voc_object('cat', 1, 1, HEIGHT, WIDTH), size='')
    path = tmp_path / 'JPEGImages/a.jpg'
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(path).save(path, exif=exif)
    loaded = cv2.imread(str(path))
    coco = convert(tmp_path)
    assert (coco.images[0]['height'], coco.images[0]['width']) == loaded.shape[:2] == (WIDTH, HEIGHT)
    assert boxes(coco) == [[0, 0, HEIGHT, WIDTH]]


def test_errors_name_what_to_mend(tmp_path):
    with pytest.raises(UserError, match=r'no folder .*gone: give the folder that holds Annotations/ and JPEGImages/'):
        convert(tmp_path / 'gone')
    (tmp_path / 'photos').mkdir()
    with pytest.raises(UserError, match=r'has no XML files in Annotations/ .*; it has photos/: give the folder'):
        convert(tmp_path)
    write_voc_image(tmp_path, 'a')
    with pytest.raises(UserError, match=r'Annotations holds no labelled object'):
        convert(tmp_path)
    write_voc_image(tmp_path, 'a', voc_object('cat', 1, 1, 9, 9), voc_object('dog', 1, 1, 9, 9))
    write_list(tmp_path, 'train', 'a')
    with pytest.raises(UserError, match=r'no list .*test.txt for --split test; lists there: train'):
        convert_voc(tmp_path, ['test'], None, 1)[0]
    with pytest.raises(UserError, match=r'asks for cow, which .* does not have; its classes are cat, dog'):
        convert_voc(tmp_path, None, ['cat', 'cow'], 1)[0]
    with pytest.raises(UserError, match='names a class twice: cat, cat'):
        convert_voc(tmp_path, None, ['cat', 'cat'], 1)[0]
    write_list(tmp_path, 'val', 'b')
    with pytest.raises(
        UserError, match=r'no usable image in the split val of .* \(images that are not there: 1, in b\.jpg\)'
    ):
        convert_voc(tmp_path, None, None, 1)[0]


@pytest.mark.parametrize('split', ['train', 'val', 'test'])
def test_bccd(shared_dir, split):
    root = shared_dir / 'data/bccd'
    if not root.is_dir():
        pytest.skip(f'no folder {root}')
    expected, degenerate = [], Counter()
    names = (root / f'ImageSets/Main/{split}.txt').read_text().split()
    for name in names:
        for node in ET.parse(root / f'Annotations/{name}.xml').iter('object'):
            label = node.find('name').text
            x1, y1, x2, y2 = (int(node.find('bndbox').find(tag).text) for tag in ('xmin', 'ymin', 'xmax', 'ymax'))
            if x1 < x2 and y1 < y2:
                expected.append((f'{name}.jpg', label, [x1, y1, x2 - x1, y2 - y1]))
            else:
                degenerate[f'{name}.xml'] += 1
    coco = convert_voc(root, [split], None)[0][split]
    assert coco.classes == ('Platelets', 'RBC', 'WBC')
    assert [image['file_name'] for image in coco.images] == [f'{name}.jpg' for name in names]
    assert len(names) == {'train': 205, 'val': 87, 'test': 72}[split]
    found = [
        (coco.images[box['image_id'] - 1]['file_name'], coco.classes[box['category_id'] - 1], box['bbox'])
        for box in coco.annotations
    ]
    assert found == expected
    assert Counter(coco.left_out[NO_AREA]) == degenerate
    assert len(coco.noted[TAKEN_FROM_0]) == len(names)
    assert len(found) == {'train': 2804, 'val': 1137, 'test': 945}[split]
    assert sum(degenerate.values()) == {'train': 1, 'val': 1, 'test': 0}[split]
