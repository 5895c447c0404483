"""A folder of one's own becomes settings of a config, or one sentence on what is missing."""

from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS

from sparse_rcnn_ext.datasets import own_data
from sparse_rcnn_ext.errors import UserError
from tests.datasets.tiny_coco import categories, cats_and_dogs, write

SPLITS = ('train', 'val', 'test')
# By layout: the annotation file and the image folder of a split.
LAYOUTS = {
    'roboflow': ('{split}/_annotations.coco.json', '{split}'),
    'coco': ('annotations/instances_{split}2017.json', '{split}2017'),
    'short coco': ('annotations/instances_{split}.json', '{split}'),
    'coco with one image folder': ('annotations/instances_{split}.json', 'images'),
    'converted': ('annotations/{split}.json', 'images/{split}'),
    'converted beside a VOC folder': ('coco/{split}.json', 'JPEGImages'),
    'fiftyone': ('{split}/labels.json', '{split}/data'),
    'label studio': ('{split}/result.json', '{split}/images'),
    'supervisely': ('{split}/annotations/instances.json', '{split}/img'),
    'flat': ('{split}.json', 'images'),
    'all in one': ('{split}.json', ''),
}


def make(root: Path, layout: str = 'flat', splits: tuple[str, ...] = SPLITS, **ids: int) -> Path:
    """Three images a split, no number twice."""
    ann_file, folder = LAYOUTS[layout]
    for number, split in enumerate(splits):
        content = cats_and_dogs(3, 10 * number, **ids)
        write(root / ann_file.format(split=split), content, root / folder.format(split=split))
    return root


def build(settings: dict, split: str):
    dataset = settings[f'{split}_dataloader']['dataset']
    # mmengine collects garbage after it has put the entries into bytes, for a second each time.
    return DATASETS.build(dict(dataset, type='sparse_rcnn_ext.CocoDataset', pipeline=[], serialize_data=False))


@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('slash', ['', '/'])
def test_layouts(tmp_path, layout, slash):
    make(tmp_path, layout)
    settings = own_data.read(f'{tmp_path}{slash}')
    assert settings['classes'] == ('cat', 'dog')
    assert settings['model'] == dict(roi_head=dict(bbox_head=dict(num_classes=2)))
    for number, split in enumerate(SPLITS):
        dataset = settings[f'{split}_dataloader']['dataset']
        ann_file = tmp_path / LAYOUTS[layout][0].format(split=split)
        assert Path(dataset['data_root'], dataset['ann_file']) == ann_file
        if split != 'train':
            assert settings[f'{split}_evaluator'] == dict(ann_file=str(ann_file))
        built = build(settings, split)
        assert [Path(built.get_data_info(index)['img_path']).name for index in range(3)] == [
            f'{10 * number + index}.png' for index in range(3)
        ]
        assert all(Path(built.get_data_info(index)['img_path']).is_file() for index in range(3))
        assert built.metainfo['classes'] == ('cat', 'dog')


def test_validation_may_be_called_valid_and_serve_as_test(tmp_path):
    make(tmp_path, 'roboflow', ('train', 'valid'))
    settings = own_data.read(str(tmp_path))
    assert settings['val_dataloader'] == settings['test_dataloader']
    assert (
        settings['val_evaluator']
        == settings['test_evaluator']
        == dict(ann_file=f'{tmp_path}/valid/_annotations.coco.json')
    )
    assert build(settings, 'val').get_data_info(0)['img_path'] == f'{tmp_path}/valid/10.png'


@pytest.mark.parametrize('without', [dict(), dict(annotations=[])])
@pytest.mark.parametrize('val_fraction', [None, 0.4])
def test_a_test_split_without_annotations(tmp_path, without, val_fraction):
    """As of a competition: images to detect in."""
    make(tmp_path, splits=('train', 'val', 'test'))
    content = cats_and_dogs(3, 20)
    content.pop('annotations')
    write(tmp_path / 'test.json', content | without)
    if val_fraction:
        (tmp_path / 'val.json').unlink()
    settings = own_data.read(str(tmp_path), val_fraction)
    assert settings['classes'] == ('cat', 'dog')
    assert settings['test_evaluator'] == dict(ann_file=f'{tmp_path}/test.json')
    dataset = settings['test_dataloader']['dataset'] | dict(test_mode=True)
    built = build(dict(test_dataloader=dict(dataset=dataset)), 'test')
    infos = [built.get_data_info(index) for index in range(len(built))]
    assert [Path(info['img_path']).name for info in infos] == ['20.png', '21.png', '22.png']
    assert all(Path(info['img_path']).is_file() and info['instances'] == [] for info in infos)
    # There is something to learn from, and to judge by, all the same.
    assert [len(build(settings, split)) for split in ('train', 'val')] == ([2, 1] if val_fraction else [3, 3])


@pytest.mark.parametrize('split', ['train', 'val'])
def test_other_splits_without_annotations_are_refused(tmp_path, split):
    make(tmp_path)
    content = cats_and_dogs()
    content.pop('annotations')
    path = write(tmp_path / f'{split}.json', content)
    with pytest.raises(UserError, match=f'{path}.*annotations'):
        own_data.read(str(tmp_path))


def test_of_equal_names_the_split_s_own_images(tmp_path):
    """Images are often numbered from 0 in each split."""
    for split in ('train', 'val'):
        write(tmp_path / f'annotations/{split}.json', cats_and_dogs(1), tmp_path / split)
    settings = own_data.read(str(tmp_path))
    assert [settings[f'{split}_dataloader']['dataset']['data_prefix']['img'] for split in SPLITS] == [
        'train/',
        'val/',
        'val/',
    ]


def test_relative_root(tmp_path, monkeypatch):
    make(tmp_path / 'data', 'flat')
    monkeypatch.chdir(tmp_path)
    settings = own_data.read('data')
    assert settings['val_evaluator'] == dict(ann_file='data/val.json')
    assert len(build(settings, 'val')) == 3


def roboflow(supercategory: str = 'pets') -> dict:
    content = cats_and_dogs(3)
    parent = dict(id=0, name=supercategory, supercategory='none')
    content['categories'] = [parent, *(dict(one, supercategory=supercategory) for one in content['categories'])]
    return content


def test_empty_supercategory_is_left_out(tmp_path):
    for split in SPLITS:
        write(tmp_path / split / '_annotations.coco.json', roboflow(), tmp_path / split)
    settings = own_data.read(str(tmp_path))
    assert settings['classes'] == ('cat', 'dog')
    assert [one['bbox_label'] for one in build(settings, 'train').get_data_info(0)['instances']] == [0, 1]


def test_supercategory_with_a_box_in_any_split_is_a_class(tmp_path):
    for split in SPLITS:
        content = roboflow()
        if split == 'val':
            content['annotations'][0]['category_id'] = 0
        write(tmp_path / split / '_annotations.coco.json', content, tmp_path / split)
    assert own_data.read(str(tmp_path))['classes'] == ('pets', 'cat', 'dog')


def test_empty_category_that_is_no_supercategory_stays(tmp_path):
    """Many tools write every category as its own supercategory."""
    for split in SPLITS:
        content = cats_and_dogs(3)
        content['categories'] = [
            dict(one, supercategory=one['name']) for one in content['categories'] + categories(owl=9)
        ]
        write(tmp_path / f'{split}.json', content, tmp_path / 'images')
    assert own_data.read(str(tmp_path))['classes'] == ('cat', 'dog', 'owl')


def test_order_of_the_training_file_for_all_splits(tmp_path):
    write(tmp_path / 'train.json', cats_and_dogs(2, dog=1, cat=2), tmp_path / 'images')
    write(tmp_path / 'val.json', cats_and_dogs(2, 10, cat=1, dog=2), tmp_path / 'images')
    settings = own_data.read(str(tmp_path))
    labels = [[one['bbox_label'] for one in build(settings, split).get_data_info(0)['instances']] for split in SPLITS]
    assert labels == [[1, 0]] * 3  # first the cat, then the dog
    assert settings['classes'] == ('dog', 'cat')


def test_no_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as error:
        own_data.read('data/mine/')
    assert str(error.value) == (
        f'there is no folder data/mine/ below the current folder {tmp_path}: set data_root to that of your data'
    )


def test_validation_with_another_class(tmp_path):
    write(tmp_path / 'train.json', cats_and_dogs(2), tmp_path / 'images')
    content = cats_and_dogs(2, cat=1, dog=2, owl=3)
    write(tmp_path / 'val.json', content, tmp_path / 'images')
    assert own_data.read(str(tmp_path))['classes'] == ('cat', 'dog')  # without an owl it changes nothing
    content['annotations'][0]['category_id'] = 3
    write(tmp_path / 'val.json', content, tmp_path / 'images')
    with pytest.raises(UserError) as error:
        own_data.read(str(tmp_path))
    assert str(error.value) == (
        f"{tmp_path}/val.json has objects of 'owl', and {tmp_path}/train.json the categories 'cat', 'dog': "
        'list them there too, with objects to learn from'
    )


def test_validation_without_a_class(tmp_path):
    write(tmp_path / 'train.json', cats_and_dogs(2, owl=9, cat=1, dog=2), tmp_path / 'images')
    content = cats_and_dogs(2, 10, dog=1, cat=2)
    write(tmp_path / 'val.json', content, tmp_path / 'images')
    settings = own_data.read(str(tmp_path))
    assert settings['classes'] == ('owl', 'cat', 'dog')
    settings['val_dataloader']['dataset']['test_mode'] = True  # as in every recipe
    dataset = build(settings, 'val')
    assert dataset.metainfo['classes'] == ('owl', 'cat', 'dog')
    assert [one['bbox_label'] for one in dataset.get_data_info(0)['instances']] == [1, 2]


@pytest.mark.parametrize('part', ['images', 'categories'])
def test_empty_lists(tmp_path, part):
    make(tmp_path, 'flat')
    for split in SPLITS:
        write(tmp_path / f'{split}.json', {**cats_and_dogs(1), 'annotations': [], part: []})
    with pytest.raises(UserError, match=rf'train.json (lists|has) no {part}'):
        own_data.read(str(tmp_path))


def test_broken_file(tmp_path):
    write(make(tmp_path, 'flat') / 'val.json', '{"images": [')
    with pytest.raises(UserError, match=r'val.json is empty, cut off or no JSON'):
        own_data.read(str(tmp_path))


def test_lines_of_the_docstring_turn_a_recipe(tmp_path, repo_dir, monkeypatch):
    make(tmp_path / 'data/mine', 'roboflow', ('train', 'valid'))
    monkeypatch.chdir(tmp_path)
    lines = [line[4:] for line in own_data.__doc__.splitlines() if line.startswith('    ')]
    recipes = repo_dir / 'configs/sparse_rcnn'
    (tmp_path / 'child.py').write_text('\n'.join(lines).replace("'./", f"'{recipes}/"))
    assert len([line for line in lines if line]) <= 7
    cfg, base = Config.fromfile('child.py'), Config.fromfile(recipes / 'sparse-rcnn_r50_fpn_1x_coco.py')
    assert cfg.model.roi_head.bbox_head.num_classes == 2
    assert (
        cfg.train_dataloader.dataset.metainfo.classes == cfg.test_dataloader.dataset.metainfo.classes == ('cat', 'dog')
    )
    assert cfg.train_dataloader.dataset.pipeline == base.train_dataloader.dataset.pipeline
    assert cfg.val_evaluator == {**base.val_evaluator, 'ann_file': 'data/mine/valid/_annotations.coco.json'}
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    assert dataset[0]['inputs'].shape[0] == 3
    assert Config.fromstring(cfg.pretty_text, '.py').val_dataloader == cfg.val_dataloader, 'a resumed run reads it back'
