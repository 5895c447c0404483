"""YOLO to COCO."""

from pathlib import Path

import pytest

from sparse_rcnn_ext.datasets.convert.coco_json import NO_AREA, CocoJson
from sparse_rcnn_ext.datasets.convert.yolo import NOT_A_LINE, convert_yolo
from sparse_rcnn_ext.errors import UserError
from tests.datasets.convert.minis import (
    EDGES,
    HEIGHT,
    OTHER_EDGES,
    WIDTH,
    make_yolo,
    write_image,
    yolo_line,
)


def write(root: Path, labels: dict[str, str | None], data: str = 'train: images\nnames: [cat, dog]\n') -> Path:
    """Images of 100×80 with their label files (None: no such file) and a data.yaml, which is returned."""
    for name, lines in labels.items():
        path = root / f'images/{name}.jpg'
        write_image(path)
        if lines is not None:
            label = root / f'labels/{name}.txt'
            label.parent.mkdir(parents=True, exist_ok=True)
            label.write_text(lines)
    (root / 'data.yaml').write_text(data)
    return root / 'data.yaml'


def convert(data: Path) -> CocoJson:
    return convert_yolo(data, ['train'])[0]['train']


def boxes(coco: CocoJson) -> list[list[float]]:
    return [annotation['bbox'] for annotation in coco.annotations]


def test_normalised_centres_become_pixels(tmp_path):
    coco = convert(write(tmp_path, {'a': '1 0.5 0.5 0.2 0.1\n0 0.25 0.75 0.5 0.5\n'}))
    assert boxes(coco) == [pytest.approx([40, 36, 20, 8]), pytest.approx([0, 40, 50, 40])]
    assert [box['area'] for box in coco.annotations] == pytest.approx([160, 2000])
    assert [box['category_id'] for box in coco.annotations] == [2, 1]
    assert coco.images == [dict(id=1, file_name='images/a.jpg', width=WIDTH, height=HEIGHT)]
    assert not coco.left_out and not coco.noted


def test_the_digits_that_yolo_writes_keep_a_hundredth_of_a_pixel(tmp_path):
    edges = [(0, 0, WIDTH, HEIGHT), (1 / 3, 2 / 7, 99.9, 79.99), *EDGES, *OTHER_EDGES]
    coco = convert(write(tmp_path, {'a': '\n'.join(yolo_line(0, *box) for box in edges)}))
    found = [[x, y, x + w, y + h] for x, y, w, h in boxes(coco)]
    assert found == [pytest.approx(box, abs=0.01) for box in edges]
    assert not coco.noted  # the border itself, however rounded, is no news


@pytest.mark.parametrize(
    ('names', 'classes', 'label'),
    [
        ('[cat, dog]', ('cat', 'dog'), 2),
        ('{0: cat, 1: dog}', ('cat', 'dog'), 2),
        ('{1: dog, 0: cat}', ('cat', 'dog'), 2),
        ('\n  1: dog\n  7: zebra', ('dog', 'zebra'), 1),
        ('[7, 2024]', ('7', '2024'), 2),
    ],
)
def test_names_as_list_or_mapping(tmp_path, names, classes, label):
    coco = convert(write(tmp_path, {'a': '1 0.5 0.5 0.2 0.1'}, f'train: images\nnames: {names}\n'))
    assert coco.classes == classes
    assert [box['category_id'] for box in coco.annotations] == [label]


def test_images_without_objects_stay(tmp_path):
    coco = convert(write(tmp_path, {'a': '', 'b': None, 'c': '0 0.5 0.5 0.2 0.2\n\n'}))
    assert [image['file_name'] for image in coco.images] == ['images/a.jpg', 'images/b.jpg', 'images/c.jpg']
    assert [box['image_id'] for box in coco.annotations] == [3]
    assert coco.noted == {'images without a label file, taken for empty': ['b.txt']}
    assert coco.summary().startswith('3 images (2 of them without boxes), 1 boxes')


def test_what_cannot_be_used_is_counted(tmp_path):
    lines = [
        '0 0.5 0.5 0.2 0.2',
        '0 0.5 0.5 0 0.2',
        '0 0.5 0.5 -0.2 0.2',
        '0 nan 0.5 0.2 0.2',
        '0 2.5 0.5 0.2 0.2',
        '0 0.9 0.5 0.4 0.2',
    ]
    data = write(tmp_path, {'a': '\n'.join(lines), 'c': ''})
    (tmp_path / 'images/c.jpg').write_bytes(b'no image')
    (tmp_path / 'labels/classes.txt').write_text('cat\ndog\n')
    (tmp_path / 'labels/lost.txt').write_text('0 0.5 0.5 0.2 0.2')
    coco = convert(data)
    assert boxes(coco) == [pytest.approx([40, 32, 20, 16]), pytest.approx([70, 32, 30, 16])]
    assert coco.left_out == {
        NO_AREA: ['a.txt'] * 3,
        'boxes outside their image': ['a.txt'],
        'images that cannot be read': ['images/c.jpg'],
        'label files without an image': ['lost.txt'],
    }
    assert coco.noted == {'boxes cut at the border of their image': ['a.txt']}


@pytest.mark.parametrize(
    'line', ['0 0.5 0.5 0.2', '0 0.5 0.5 0.2 0.2 0.9', '0 0.5 half 0.2 0.2', 'cat 0.5 0.5 0.2 0.2', b'\xff\xfe\x00']
)
def test_an_image_with_a_label_that_cannot_be_read_is_left_out(tmp_path, line):
    """With the other objects alone it would teach that there is nothing else."""
    data = write(tmp_path, {'a': '0 0.5 0.5 0.2 0.2\n', 'b': '0 0.5 0.5 0.2 0.2'})
    with (tmp_path / 'labels/a.txt').open('ab') as file:
        file.write(line if isinstance(line, bytes) else line.encode())
    coco = convert(data)
    assert [image['file_name'] for image in coco.images] == ['images/b.jpg'] and len(coco.annotations) == 1
    reason = 'images whose label file is no text' if isinstance(line, bytes) else NOT_A_LINE
    assert coco.left_out == {reason: ['a.txt']}


@pytest.mark.parametrize(
    ('numbers', 'ids_from', 'found', 'fix'),
    [
        ('121', 0, '1, 2', 'if they count from 1, .* give --ids-from 1; else list them all in names'),
        ('012', 0, '0, 1, 2', 'if they count from 1, '),
        ('9', 0, '9', 'if they count from 1, '),
        ('0-1', 0, '-1, 0', 'if they count from 1, '),
        ('01', 1, '0, 1', 'list them all in names'),
        ('1.5', 0, '1.5', 'if they count from 1, '),
    ],
)
def test_numbers_that_names_lacks_end_the_conversion(tmp_path, numbers, ids_from, found, fix):
    """The others would have a wrong class. Some tools write the ids of COCO."""
    numbers = [numbers] if numbers in ('9', '1.5') else [*numbers.replace('-1', 'x')]
    labels = {f'i{place}': f'{number.replace("x", "-1")} 0.5 0.5 0.2 0.2' for place, number in enumerate(numbers)}
    data = write(tmp_path, labels, 'train: images\nval: images\nnames: [cat, dog]\n')
    with pytest.raises(UserError, match=rf'data.yaml have the class numbers {found}, and its names are .*: {fix}'):
        convert_yolo(data, None, ids_from)


def test_numbers_from_1(tmp_path):
    data = write(tmp_path, {'a': '1 0.5 0.5 0.2 0.2\n2 0.5 0.5 0.1 0.1'})
    coco = convert_yolo(data, ['train'], 1)[0]['train']
    assert [box['category_id'] for box in coco.annotations] == [1, 2] and not coco.noted


def test_numbers_without_a_0_are_noted(tmp_path):
    """They may count from 1, with nothing of the last class."""
    coco = convert(write(tmp_path, {'a': '1 0.5 0.5 0.2 0.2'}))
    assert coco.noted == {'numbers without a 0, which is cat (if they count from 1: --ids-from 1)': ['data.yaml']}
    named = convert(write(tmp_path / 'named', {'a': '1 0.5 0.5 0.2 0.2'}, 'train: images\nnames: {1: cat, 2: dog}'))
    assert [box['category_id'] for box in named.annotations] == [1] and not named.noted


def test_label_files_of_other_names(tmp_path):
    data = write(tmp_path, {'a': None, 'b': None})
    (tmp_path / 'labels').mkdir()
    (tmp_path / 'labels/a.jpg.txt').write_text('0 0.5 0.5 0.2 0.2')
    with pytest.raises(UserError, match=r'none of the images in .* has a label file, and none of .*a\.jpg\.txt: give'):
        convert(data)
    (tmp_path / 'labels/a.jpg.txt').unlink()
    assert len(convert(data).images) == 2


def test_polygons_become_boxes(tmp_path):
    coco = convert(write(tmp_path, {'a': '1 0.1 0.5 0.3 0.25 0.2 0.75\n0 .1 .1 .3 .1 .3 .2 .1 .2'}))
    assert boxes(coco) == [pytest.approx([10, 20, 20, 40]), pytest.approx([10, 8, 20, 8])]
    assert coco.noted == {'polygons, written as the boxes around them': ['a.txt', 'a.txt']}


def test_keypoints_are_no_polygon(tmp_path):
    line = '0 0.5 0.5 0.2 0.1 0.9 0.9 2 0.1 0.1 2'
    coco = convert(write(tmp_path, {'a': line}, 'train: images\nkpt_shape: [2, 3]\nnames: [cat]\n'))
    assert boxes(coco) == [pytest.approx([40, 36, 20, 8])]
    assert not coco.noted


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('- a', 'holds no keys'),
        ('names: [cat', 'is no YAML file'),
        ('train: images', 'needs names'),
        ('train: images\nnames: cat', 'needs names'),
        ('train: images\nnames: {cat: 0}', 'needs names'),
        ('train: images\nnames: [cat, cat]', 'gives two classes one name: cat, cat'),
        ('train: images\nnames: [cat]\nnc: 2', 'says nc: 2, but has 1 names: cat'),
        ('train: imgs\nnames: [cat]', r'no .*imgs, which .*data.yaml gives for train: set path or train'),
        ('path: gone\ntrain: images\nnames: [cat]', r'no folder gone, which .*data.yaml gives as its path'),
        ('train: empty\nnames: [cat]', r'no usable image in .*empty, which .* gives for train \(nothing is there\)'),
        ('val: images\nnames: [cat]', 'has no train; it has val'),
    ],
)
def test_errors_name_what_to_mend(tmp_path, content, message):
    (tmp_path / 'empty').mkdir()
    with pytest.raises(UserError, match=message) as error:
        convert(write(tmp_path, {'a': '0 0.5 0.5 0.2 0.2'}, content))
    assert '\n' not in str(error.value)


def test_no_file(tmp_path):
    with pytest.raises(UserError, match=r'no file .*data.yaml'):
        convert(tmp_path / 'data.yaml')


def test_the_mini(tmp_path):
    converted, root = convert_yolo(make_yolo(tmp_path), None)
    assert root == tmp_path
    assert {split: (len(coco.images), len(coco.annotations)) for split, coco in converted.items()} == {
        'train': (4, 8),
        'val': (2, 4),
    }
