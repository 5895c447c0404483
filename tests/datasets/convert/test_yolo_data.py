"""Where the images, labels and names of a YOLO data set are."""

from pathlib import Path

import pytest

from sparse_rcnn_ext.datasets.convert.yolo import convert_yolo, label_path
from sparse_rcnn_ext.errors import UserError
from tests.datasets.convert.minis import write_image
from tests.datasets.convert.test_yolo import convert, write

LINE = '0 0.5 0.5 0.2 0.2'


def lay(root: Path, files: dict[str, str]) -> Path:
    """Files by path; images where the suffix says so."""
    for name, text in files.items():
        path = root / name
        if path.suffix == '.jpg':
            write_image(path)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return root


@pytest.mark.parametrize(
    ('files', 'description', 'splits'),
    [
        # LabelImg: labels beside the images, its list of classes among them.
        (
            {
                'train/a.jpg': '',
                'train/a.txt': LINE,
                'train/classes.txt': 'cat\ndog\n',
                'val/b.jpg': '',
                'val/b.txt': LINE,
            },
            '.',
            {'train': 'train/a.jpg', 'val': 'val/b.jpg'},
        ),
        ({'images/a.jpg': '', 'images/a.txt': LINE, 'classes.txt': 'cat\ndog'}, '.', {'all': 'images/a.jpg'}),
        # Label Studio: a folder for each split.
        (
            {
                'train/images/a.jpg': '',
                'train/labels/a.txt': LINE,
                'train/classes.txt': 'cat\ndog',
                'valid/images/b.jpg': '',
                'valid/labels/b.txt': LINE,
                'valid/classes.txt': 'cat',
            },
            '.',
            {'train': 'train/images/a.jpg', 'val': 'valid/images/b.jpg'},
        ),
        ({'images/a.jpg': '', 'labels/a.txt': LINE, 'classes.txt': 'cat\ndog'}, 'classes.txt', {'all': 'images/a.jpg'}),
        ({'a.jpg': '', 'a.txt': LINE, 'obj.names': 'cat\ndog'}, '.', {'all': 'a.jpg'}),
        # supervision: a data.yaml that says nothing of the images.
        (
            {'images/train/a.jpg': '', 'labels/train/a.txt': LINE, 'data.yaml': 'nc: 2\nnames: [cat, dog]'},
            '.',
            {'train': 'images/train/a.jpg'},
        ),
        # CVAT, "YOLO 1.1".
        (
            {
                'obj.data': 'classes = 2\ntrain = data/train.txt\nvalid = data/valid.txt\nnames = data/obj.names\n',
                'obj.names': 'cat\ndog\n',
                'train.txt': 'data/obj_train_data/a.jpg\n',
                'valid.txt': 'data/obj_valid_data/b.jpg\n',
                **{f'obj_{name}.jpg': '' for name in ('train_data/a', 'valid_data/b')},
                **{f'obj_{name}.txt': LINE for name in ('train_data/a', 'valid_data/b')},
            },
            'obj.data',
            {'train': 'obj_train_data/a.jpg', 'val': 'obj_valid_data/b.jpg'},
        ),
    ],
)
def test_layouts(tmp_path, files, description, splits):
    root = lay(tmp_path, files)
    converted, found_root = convert_yolo(root / description, None)
    assert found_root.resolve() == root
    names = {split: [image['file_name'] for image in coco.images] for split, coco in converted.items()}
    assert names == {split: [name] for split, name in splits.items()}
    for coco in converted.values():
        assert coco.classes == ('cat', 'dog') and len(coco.annotations) == 1
        assert not coco.left_out and not coco.noted


@pytest.mark.parametrize(
    ('files', 'message'),
    [
        (
            {'photos/a.jpg': '', 'b.md': ''},
            r'has no data.yaml, no obj.data and no classes.txt, .*; it has b.md, photos/: add',
        ),
        (
            {'train/classes.txt': 'cat\ndog', 'val/classes.txt': 'dog'},
            r'val/classes.txt and .*train/classes.txt give one number different names',
        ),
        ({'classes.txt': 'cat'}, 'has no images: put them there in train, val and test'),
        ({'obj.data': 'train = a.txt'}, 'obj.data needs a line names = FILE'),
        ({'obj.data': 'names = data/gone.names'}, r'no .*gone.names, which .*obj.data gives for names'),
    ],
)
def test_folders_that_lack_something(tmp_path, files, message):
    with pytest.raises(UserError, match=message):
        convert_yolo(lay(tmp_path, files), None)


def test_paths_of_every_kind(tmp_path):
    root = tmp_path / 'set'
    write(root, {'one/a': '0 0.5 0.5 0.2 0.2', 'two/a': '1 0.5 0.5 0.2 0.2', 'two/b': ''})
    (root / 'lists').mkdir()
    (root / 'lists/val.txt').write_text('./../images/two/b.jpg\n\n../images/one/a.jpg\n../images/gone.jpg\n')
    data = tmp_path / 'elsewhere/data.yaml'
    data.parent.mkdir()
    content = 'path: ../set\ntrain: [images/one, images/two]\nvalidation: lists/val.txt\ntest:\nnames: [cat, dog]\n'
    data.write_text(content)
    with pytest.raises(UserError, match=r'elsewhere/data.yaml names .*/../set, which is outside of .*elsewhere: '):
        convert_yolo(data, None)
    converted, found_root = convert_yolo(data, None, allow_outside=True)
    assert list(converted) == ['train', 'val'] and found_root.resolve() == root
    train, val = converted.values()
    assert [image['file_name'] for image in train.images] == [
        'images/one/a.jpg',
        'images/two/a.jpg',
        'images/two/b.jpg',
    ]
    assert [(box['image_id'], box['category_id']) for box in train.annotations] == [(1, 1), (2, 2)]
    assert [image['file_name'] for image in val.images] == ['images/two/b.jpg', 'images/one/a.jpg']
    assert [(box['image_id'], box['category_id']) for box in val.annotations] == [(2, 1)]
    assert val.left_out == {'images that are not there': ['images/gone.jpg']}
    data.write_text(content.replace('../set', str(root)))
    assert convert_yolo(data, None, allow_outside=True)[0]['train'].annotations == train.annotations


@pytest.mark.parametrize(
    ('files', 'description', 'named_by'),
    [
        ({'data.yaml': 'train: ../other/images\nnames: [cat]'}, 'data.yaml', 'data.yaml'),
        ({'data.yaml': 'train: OUTSIDE\nnames: [cat]'}, '.', 'data.yaml'),
        ({'data.yaml': 'path: /\nnames: [cat]'}, 'data.yaml', 'data.yaml'),
        ({'data.yaml': 'train: list.txt\nnames: [cat]', 'list.txt': 'OUTSIDE/a.jpg'}, 'data.yaml', 'list.txt'),
        ({'data.yaml': 'train: list.txt\nnames: [cat]', 'list.txt': 'in/../../x.jpg'}, 'data.yaml', 'list.txt'),
        ({'obj.data': 'names = ../other/obj.names\ntrain = images'}, 'obj.data', 'obj.data'),
        ({'obj.data': 'names = obj.names\ntrain = OUTSIDE', 'obj.names': 'cat'}, '.', 'obj.data'),
        ({'obj.data': 'names = obj.names\ntrain = t.txt', 'obj.names': 'cat', 't.txt': '../../x.jpg'}, '.', 't.txt'),
    ],
)
def test_what_leads_out_of_the_folder_is_refused(tmp_path, files, description, named_by):
    outside = lay(tmp_path / 'other', {'images/a.jpg': '', 'labels/a.txt': LINE, 'obj.names': 'cat'}) / 'images'
    root = lay(tmp_path / 'mine', {name: text.replace('OUTSIDE', str(outside)) for name, text in files.items()})
    lay(root, {'images/a.jpg': '', 'labels/a.txt': LINE})
    with pytest.raises(UserError, match=rf'{named_by} names .*, which is outside of .*mine: give --allow-outside'):
        convert_yolo(root / description, None)


def test_a_link_in_the_folder_belongs_to_it(tmp_path):
    lay(tmp_path / 'other', {'images/a.jpg': '', 'labels/a.txt': LINE})
    root = lay(tmp_path / 'mine', {'data.yaml': 'train: photos/images\nnames: [cat]'})
    (root / 'photos').symlink_to(tmp_path / 'other')
    assert len(convert(root / 'data.yaml').annotations) == 1


def test_roboflows_folder_beside_the_file_is_taken_before_one_outside(tmp_path):
    for root in (tmp_path, tmp_path / 'mine'):
        lay(root, {'train/images/a.jpg': '', 'train/labels/a.txt': LINE})
    lay(tmp_path / 'mine', {'data.yaml': 'train: ../train/images\nnames: [cat]'})
    converted, _ = convert_yolo(tmp_path / 'mine/data.yaml', None)
    assert [image['file_name'] for image in converted['train'].images] == ['train/images/a.jpg']


def test_a_path_from_the_current_folder(tmp_path, monkeypatch):
    write(tmp_path / 'sets/mine', {'a': '0 0.5 0.5 0.2 0.2'})
    (tmp_path / 'sets/mine.yaml').write_text('path: sets/mine\ntrain: images\nnames: [cat]\n')
    monkeypatch.chdir(tmp_path)
    assert len(convert(Path('sets/mine.yaml')).annotations) == 1


def test_roboflow_s_layout(tmp_path):
    write_image(tmp_path / 'train/images/a_jpg.rf.0.jpg')
    (tmp_path / 'train/labels').mkdir()
    (tmp_path / 'train/labels/a_jpg.rf.0.txt').write_text('0 0.5 0.5 0.2 0.2')
    (tmp_path / 'data.yaml').write_text("train: ../train/images\nnc: 1\nnames: ['cell']\n")
    coco = convert(tmp_path / 'data.yaml')
    assert coco.images[0]['file_name'] == 'train/images/a_jpg.rf.0.jpg' and len(coco.annotations) == 1


def test_labels_lie_beside_the_last_folder_called_images():
    assert label_path(Path('/images/set/images/train/a.b.jpg')) == Path('/images/set/labels/train/a.b.txt')
    assert label_path(Path('/data/set/images.png')) == Path('/data/set/images.txt')
