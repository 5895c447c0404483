"""One XML file of Pascal VOC: what is read, what is left out, what is refused."""

import pytest

from sparse_rcnn_ext.errors import UserError
from tests.datasets.convert.minis import voc_object, write_voc_image
from tests.datasets.convert.test_voc import boxes, convert


def test_a_person_s_parts_are_no_objects(tmp_path):
    part = '<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>3</xmax><ymax>3</ymax></bndbox></part>'
    write_voc_image(tmp_path, 'a', voc_object('person', 10, 20, 30, 40).replace('</object>', f'{part}</object>'))
    coco = convert(tmp_path)
    assert coco.classes == ('person',) and boxes(coco) == [[9, 19, 21, 21]]


@pytest.mark.parametrize('broken', [voc_object('cat', 'left', 1, 10, 10), '<object><name>cat</name></object>'])
def test_an_image_with_an_object_that_cannot_be_read_is_left_out(tmp_path, broken):
    """With the others alone it would teach that there is nothing else."""
    write_voc_image(tmp_path, 'a', voc_object('cat', 10, 20, 30, 40), broken)
    write_voc_image(tmp_path, 'b', voc_object('cat', 10, 20, 30, 40))
    coco = convert(tmp_path)
    assert [image['file_name'] for image in coco.images] == ['b.jpg']
    reason = 'images with an object without a name or without four numbers for a box'
    assert coco.left_out == {reason: ['a.xml']}


@pytest.mark.parametrize('declared', ['<!ENTITY cat "cat">', '<!ENTITY cat SYSTEM "a.txt">', '<!ENTITY % cat "cat">'])
def test_entities_are_refused(tmp_path, declared):
    write_voc_image(tmp_path, 'good', voc_object('cat', 10, 20, 30, 40))
    path = tmp_path / 'Annotations/good.xml'
    path.write_text(f'<!DOCTYPE annotation [{declared}]>{path.read_text()}')
    with pytest.raises(UserError, match=r'good\.xml declares the entity cat, which no annotation needs: remove its'):
        convert(tmp_path)


def test_an_encoding_and_a_plain_doctype_are_read(tmp_path):
    write_voc_image(tmp_path, 'good', voc_object('katze ä &lt; <![CDATA[&]]>', 10, 20, 30, 40))
    path = tmp_path / 'Annotations/good.xml'
    path.write_bytes(
        b'<?xml version="1.0" encoding="latin-1"?><!DOCTYPE annotation>' + path.read_text().encode('latin-1')
    )
    assert convert(tmp_path).classes == ('katze ä < &',)
