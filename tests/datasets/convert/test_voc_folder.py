"""Where the files of a Pascal VOC data set are, and where their pixels count from."""

from pathlib import Path

import pytest
from PIL import Image

from sparse_rcnn_ext.datasets.convert.voc import FROM_1, PROVEN_FROM_0, TAKEN_FROM_0, convert_voc
from sparse_rcnn_ext.errors import UserError
from tests.datasets.convert.minis import (
    HEIGHT,
    SIZE,
    WIDTH,
    voc_object,
    write_image,
    write_list,
    write_voc_image,
    write_xml,
)
from tests.datasets.convert.test_voc import boxes, convert

SOURCES = {
    'VOC2007': '<source><database>The VOC2007 Database</database><annotation>PASCAL VOC2007</annotation></source>',
    'VOC2012': '<source><database>The VOC2008 Database</database></source>',
    'supervision': '<folder>VOC</folder><source><database>roboflow.ai</database></source>',
    'none': '',
    'LabelImg': '<folder>train</folder><source><database>Unknown</database></source>',
    'Label Studio': '<source><database>MyDatabase</database><annotation>COCO2017</annotation></source>',
    'another': '<folder></folder><source><database>roboflow.ai</database></source>',
}


@pytest.mark.parametrize('source', SOURCES)
def test_where_pixels_count_from(tmp_path, source):
    """What the source says, in each file by itself; else from 0, as nearly all tools write them."""
    write_voc_image(tmp_path, 'a', voc_object('cat', 10, 20, 30, 40), size=SIZE + SOURCES[source])
    write_voc_image(tmp_path, 'b', voc_object('cat', 10, 20, 30, 40))
    coco = convert(tmp_path, None)
    from_1 = source in ('VOC2007', 'VOC2012', 'supervision')
    assert boxes(coco) == [[9, 19, 21, 21] if from_1 else [10, 20, 20, 20], [10, 20, 20, 20]]
    assert coco.noted == {FROM_1: ['a.xml'], TAKEN_FROM_0: ['b.xml']} if from_1 else {TAKEN_FROM_0: ['a.xml', 'b.xml']}
    assert '--first-pixel 1' in coco.summary()
    for first_pixel in (0, 1):
        asked = convert(tmp_path, first_pixel)
        assert boxes(asked)[0] == [[10, 20, 20, 20], [9, 19, 21, 21]][first_pixel] and not asked.noted


@pytest.mark.parametrize('corner', [(0, 20), (10, 0), (10.5, 20)])
def test_a_0_or_a_fraction_proves_where_pixels_count_from(tmp_path, corner):
    write_voc_image(tmp_path, 'a', voc_object('cat', 10, 20, 30, 40))
    write_voc_image(tmp_path, 'b', voc_object('cat', *corner, 30, 40))
    # Of VOC itself, which has fractions too.
    write_voc_image(tmp_path, 'c', voc_object('cat', 10.5, 20, 30, 40), size=SIZE + SOURCES['VOC2012'])
    coco = convert(tmp_path, None)
    assert boxes(coco) == [[10, 20, 20, 20], [*corner, 30 - corner[0], 40 - corner[1]], [9.5, 19, 20.5, 21]]
    assert coco.noted == {PROVEN_FROM_0: ['a.xml', 'b.xml'], FROM_1: ['c.xml']}


def test_folders_below_annotations(tmp_path):
    """Equal names in different folders are different images."""
    for folder, x in (('cam 1', 10), ('cam 2', 12)):
        write_voc_image(tmp_path, f'{folder}/0001', voc_object('cat', x, 20, 30, 40), file_name='0001.jpg')
    write_voc_image(tmp_path, 'top', voc_object('cat', 14, 20, 30, 40))
    write_list(tmp_path, 'train', 'cam 2/0001', 'top')
    write_list(tmp_path, 'val', 'cam 1\\0001.jpg')
    converted, images = convert_voc(tmp_path, None, None)
    assert images == 'JPEGImages'
    names = {split: [image['file_name'] for image in coco.images] for split, coco in converted.items()}
    assert names == {'train': ['cam 2/0001.jpg', 'top.jpg'], 'val': ['cam 1/0001.jpg']}
    assert {split: boxes(coco) for split, coco in converted.items()} == {
        'train': [[12, 20, 18, 20], [14, 20, 16, 20]],
        'val': [[10, 20, 20, 20]],
    }


def test_the_first_folder_is_the_split(tmp_path):
    for name in ('train/a', 'valid/b'):
        write_voc_image(tmp_path, name, voc_object('cat', 10, 20, 30, 40))
    write_image(tmp_path / 'JPEGImages/train/empty.jpg')
    converted, _ = convert_voc(tmp_path, None, None)
    names = {split: [image['file_name'] for image in coco.images] for split, coco in converted.items()}
    assert names == {'train': ['train/a.jpg', 'train/empty.jpg'], 'val': ['valid/b.jpg']}


@pytest.mark.parametrize(
    ('annotations', 'images'),
    [('Annotations', 'JPEGImages'), ('Annotations', 'images'), ('labels', 'data'), ('', ''), ('xml', '')],
)
def test_layouts(tmp_path, annotations, images):
    """For the whole, and for each split."""

    def fill(root: Path, name: str, label: str) -> None:
        write_xml(root, name, voc_object(label, 10, 20, 30, 40), folder=annotations)
        write_image(root / (images or annotations) / f'{name}.jpg')

    fill(tmp_path / 'whole', 'a', 'cat')
    converted, prefix = convert_voc(tmp_path / 'whole', None, None)
    assert list(converted) == ['all'] and prefix == (images or annotations)
    assert [image['file_name'] for image in converted['all'].images] == ['a.jpg']

    fill(tmp_path / 'split/train', 'a', 'cat')
    fill(tmp_path / 'split/Valid', 'b', 'dog')
    converted, prefix = convert_voc(tmp_path / 'split', None, None)
    below = f'{images or annotations}/'.lstrip('/')
    names = {split: [image['file_name'] for image in coco.images] for split, coco in converted.items()}
    assert prefix == '' and names == {'train': [f'train/{below}a.jpg'], 'val': [f'Valid/{below}b.jpg']}
    assert {coco.classes for coco in converted.values()} == {('cat', 'dog')}
    assert list(convert_voc(tmp_path / 'split', ['val'], None)[0]) == ['val']
    with pytest.raises(UserError, match=r'has no folder for --split test; it has val, train$'):
        convert_voc(tmp_path / 'split', ['test'], None)
    fill(tmp_path / 'split/val', 'c', 'dog')
    with pytest.raises(UserError, match=r'has two folders for val'):
        convert_voc(tmp_path / 'split', None, None)


@pytest.mark.parametrize('file_name', ['photo.jpg', 'C:\\pictures\\photo.jpg', '/home/me/photo.jpg'])
def test_an_image_of_another_name_than_its_xml(tmp_path, file_name):
    write_xml(tmp_path, 'sub/0001', voc_object('cat', 10, 20, 30, 40), file_name=file_name)
    write_image(tmp_path / 'JPEGImages/sub/photo.jpg')
    coco = convert(tmp_path, 0)
    assert [image['file_name'] for image in coco.images] == ['sub/photo.jpg'] and len(coco.annotations) == 1
    assert not coco.left_out and not coco.noted


@pytest.mark.parametrize(
    ('size', 'x', 'exif', 'message'),
    [
        ((2 * WIDTH, 2 * HEIGHT), 30, None, 'counts pixels of 200x160, and .* has 100x80: give the images that were'),
        ((WIDTH // 2, HEIGHT // 2), 30, None, 'counts pixels of 50x40'),
        ((HEIGHT, WIDTH + 9), WIDTH + 5, None, 'counts pixels of 80x109'),
        ((WIDTH, HEIGHT), 30, 6, 'counts pixels of 100x80, and .*, which its EXIF tag turns, is read as 80x100'),
    ],
)
def test_boxes_in_pixels_of_another_size_are_refused(tmp_path, size, x, exif, message):
    """The image was scaled, or turned, or is another one."""
    said = f'<size><width>{size[0]}</width><height>{size[1]}</height></size>'
    write_voc_image(tmp_path, 'a', voc_object('cat', 10, 20, x, 40), size=said)
    if exif:
        path = tmp_path / 'JPEGImages/a.jpg'
        tag = Image.Exif()
        tag[0x0112] = exif
        Image.open(path).save(path, exif=tag)
    with pytest.raises(UserError, match=rf'^a\.xml {message}'):
        convert(tmp_path)


def test_a_size_that_is_off_by_a_pixel_is_noted(tmp_path):
    """Tools round it in their ways; a size without that is as good."""
    size = f'<size><width>{WIDTH + 1}</width><height>{HEIGHT + 1}</height></size>'
    write_voc_image(tmp_path, 'a', voc_object('cat', 10, 20, 30, 40), size=size)
    coco = convert(tmp_path, 0)
    assert boxes(coco) == [[10, 20, 20, 20]]
    assert coco.noted == {
        'images whose XML gives another size than the file has, written with that of the file': ['a.xml']
    }
