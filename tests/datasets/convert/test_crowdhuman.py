"""CrowdHuman's odgt to COCO."""

import json

import pytest

from sparse_rcnn_ext.datasets.convert.coco_json import NO_AREA
from sparse_rcnn_ext.datasets.convert.crowdhuman import convert_crowdhuman
from sparse_rcnn_ext.errors import UserError
from tests.datasets.convert.minis import HEIGHT, WIDTH, make_crowdhuman, person, write_odgt

NAME = '273271,c9db000d5146c15'


def test_full_bodies_are_cut_at_the_border_and_the_rest_stays(tmp_path):
    write_odgt(tmp_path, 'train', {NAME: [person([10, 20, 30, 40]), person([-5, 60, 30, 200])]})
    coco = convert_crowdhuman(tmp_path, None)['train']
    assert coco.classes == ('person',)
    assert coco.images == [dict(id=1, file_name=f'{NAME}.jpg', width=WIDTH, height=HEIGHT)]
    assert coco.annotations == [
        dict(
            id=1,
            image_id=1,
            category_id=1,
            bbox=[10, 20, 30, 40],
            area=1200,
            iscrowd=0,
            vbox=[10, 20, 30, 20],
            hbox=[10, 20, 15, 10],
        ),
        dict(
            id=2,
            image_id=1,
            category_id=1,
            bbox=[0, 60, 25, HEIGHT - 60],
            area=25 * (HEIGHT - 60),
            iscrowd=0,
            vbox=[-5, 60, 30, 100],
            hbox=[-5, 60, 15, 50],
        ),
    ]
    assert coco.noted == {'boxes cut at the border of their image': [f'{NAME}, object 1']}


@pytest.mark.parametrize(
    ('tag', 'ignore', 'crowd'),
    [('person', None, 0), ('person', 0, 0), ('person', 1, 1), ('mask', 1, 1), ('mask', None, 1)],
)
def test_ignored_is_crowd(tmp_path, tag, ignore, crowd):
    write_odgt(tmp_path, 'val', {NAME: [person([10, 20, 30, 40], tag, ignore)]})
    coco = convert_crowdhuman(tmp_path, ['val'])['val']
    assert [box['iscrowd'] for box in coco.annotations] == [crowd]


def test_objects_without_extra_or_head(tmp_path):
    write_odgt(tmp_path, 'val', {NAME: [dict(tag='person', fbox=[10, 20, 30, 40])]})
    box = convert_crowdhuman(tmp_path, None)['val'].annotations[0]
    assert box['iscrowd'] == 0 and 'vbox' not in box


def test_what_cannot_be_used_is_counted(tmp_path):
    entries = [person([10, 20, 0, 40]), person([200, 20, 30, 40]), person([10, 20, 30, 40])]
    write_odgt(tmp_path, 'train', {NAME: entries, 'gone': [], 'bad': [], 'empty': []})
    (tmp_path / 'Images/gone.jpg').unlink()
    (tmp_path / 'Images/bad.jpg').write_bytes(b'')
    coco = convert_crowdhuman(tmp_path, None)['train']
    assert [image['file_name'] for image in coco.images] == [f'{NAME}.jpg', 'empty.jpg']
    assert len(coco.annotations) == 1
    assert coco.left_out == {
        NO_AREA: [f'{NAME}, object 0'],
        'boxes outside their image': [f'{NAME}, object 1'],
        'images that are not there': ['gone.jpg'],
        'images that cannot be read': ['bad.jpg'],
    }


@pytest.mark.parametrize('line', ['{"ID": "a"', '[]', '{"ID": "a"}', '{"ID": 3, "gtboxes": []}'])
def test_a_broken_line_is_named(tmp_path, line):
    write_odgt(tmp_path, 'train', {NAME: [person([10, 20, 30, 40])]})
    path = tmp_path / 'annotation_train.odgt'
    path.write_text(f'{path.read_text()}\n{line}\n')
    with pytest.raises(UserError, match=r'line 3 of .*annotation_train.odgt is no record of CrowdHuman'):
        convert_crowdhuman(tmp_path, None)


@pytest.mark.parametrize('entry', [dict(tag='person'), dict(fbox=[1, 2, 3, 4]), dict(tag='person', fbox=[1, 2, 3]), 5])
def test_a_broken_object_is_named(tmp_path, entry):
    write_odgt(tmp_path, 'train', {NAME: []})
    (tmp_path / 'annotation_train.odgt').write_text(json.dumps(dict(ID=NAME, gtboxes=[entry])))
    with pytest.raises(UserError, match=r'line 1 of .*annotation_train.odgt is no record of CrowdHuman'):
        convert_crowdhuman(tmp_path, None)


def test_errors_name_what_to_mend(tmp_path):
    with pytest.raises(UserError, match=r'no folder .*Images: unpack'):
        convert_crowdhuman(tmp_path, None)
    (tmp_path / 'Images').mkdir()
    with pytest.raises(UserError, match=r'no file .*annotation_train.odgt'):
        convert_crowdhuman(tmp_path, None)
    write_odgt(tmp_path, 'train', {NAME: []})
    with pytest.raises(UserError, match=r'no file .*annotation_val.odgt'):
        convert_crowdhuman(tmp_path, ['train', 'val'])
    (tmp_path / f'Images/{NAME}.jpg').unlink()
    with pytest.raises(UserError, match=r'no usable image in the split train of .* \(images that are not there: 1, in'):
        convert_crowdhuman(tmp_path, None)


def test_the_mini(tmp_path):
    converted = convert_crowdhuman(make_crowdhuman(tmp_path), None)
    assert list(converted) == ['train', 'val']
    for coco in converted.values():
        assert [box['iscrowd'] for box in coco.annotations] == [0, 0, 1, 1] * len(coco.images)
        assert len(coco.noted['boxes cut at the border of their image']) == len(coco.images)
