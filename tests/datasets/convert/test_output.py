"""The files and the words that a conversion leaves behind."""

import json

import pytest

from sparse_rcnn_ext.datasets.convert.coco_json import CocoJson, write_splits
from tests.datasets.convert.minis import HEIGHT, WIDTH, write_image


@pytest.fixture
def coco(tmp_path) -> CocoJson:
    coco = CocoJson(('cat', "dog's"), 'made by a test')
    for number in range(5):
        write_image(tmp_path / f'img/{number}.jpg')
        assert coco.begin_image(tmp_path / 'img', f'{number}.jpg') == (WIDTH, HEIGHT)
        coco.add_box('cat', (1, 1, 1, 5), False, f'{number}.txt')
    coco.add_box("dog's", (10, 10, 20.5, 20), True, '4.txt', dict(vbox=[1, 2, 3, 4]))
    return coco


def test_json(coco, tmp_path):
    write_splits({'train': coco}, tmp_path / 'a/b', tmp_path, 'img')
    assert [path.name for path in (tmp_path / 'a/b').iterdir()] == ['train.json']
    content = json.loads((tmp_path / 'a/b/train.json').read_text())
    assert content == dict(
        info=dict(description='made by a test'),
        images=[dict(id=n + 1, file_name=f'{n}.jpg', width=WIDTH, height=HEIGHT) for n in range(5)],
        annotations=[
            dict(
                id=1,
                image_id=5,
                category_id=2,
                bbox=[10, 10, 10.5, 10],
                area=105,
                iscrowd=1,
                vbox=[1, 2, 3, 4],
            )
        ],
        categories=[
            dict(id=1, name='cat', supercategory='cat'),
            dict(id=2, name="dog's", supercategory="dog's"),
        ],
    )


def test_words(coco, tmp_path):
    path = tmp_path / 'ann/train.json'
    assert write_splits({'train': coco}, path.parent, tmp_path, 'img') == (
        f'{path}: 5 images (4 of them without boxes), 1 boxes (1 of them to ignore)\n'
        '    1 cat: 0\n'
        "    2 dog's: 1\n"
        '  left out: boxes without area (no width or height, inverted, or no number): 5, in 0.txt, 1.txt, 2.txt, …\n'
        'In a config:\n'
        f"  data_root='{tmp_path}/', data_prefix=dict(img='img/'), ann_file='ann/SPLIT.json'\n"
        "  metainfo=dict(classes=('cat', \"dog's\"))"
    )


def test_paths_elsewhere_are_absolute(coco, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = write_splits({'train': coco}, tmp_path / 'ann', tmp_path / 'set', '')
    assert f"data_prefix=dict(img=''), ann_file='{tmp_path}/ann/SPLIT.json'" in said
