"""A folder of one's own becomes settings of a config, or one sentence on what is missing."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS, METRICS

from sparse_rcnn_ext.datasets import own_data
from sparse_rcnn_ext.datasets.held_out import part_of
from sparse_rcnn_ext.engine.data_paths import check_data_paths
from sparse_rcnn_ext.engine.errors import UserError
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


def test_no_annotations(tmp_path):
    with pytest.raises(UserError) as error:
        own_data.read(str(tmp_path))
    for pattern, _ in LAYOUTS.values():
        assert pattern.format(split='train').replace('annotations/instances.json', 'annotations/*.json') in str(
            error.value
        )
    assert f'{tmp_path} has no annotation file for train' in str(error.value)


@pytest.mark.parametrize(
    ('files', 'advice'),
    [
        (['labels.json'], r'give val_fraction=0.2 to hold out a fifth of the images of labels.json for validation$'),
        (['mine.json'], r'those that are there \(mine.json\)'),
        (
            ['export/trian.json', 'export/x.json'],
            r'\(export/trian.json, export/x.json\), such as export/trian.json to coco/train.json$',
        ),
        (
            ['annotations/instances_trian.json'],
            r', such as annotations/instances_trian.json to annotations/instances_train',
        ),
        ([f'a/{number}.json' for number in range(9)], r'a/7.json and 1 more\)'),
        (['Annotations/a.xml'], r'convert_voc.py \S+ '),
        (['data.yaml', 'labels/a.txt'], r'convert_yolo.py \S+/data.yaml '),
        (['labels/classes.txt'], r'convert_yolo.py \S+/classes.txt '),
        (['a.jpg'], 'put one there$'),
    ],
)
def test_what_is_there_instead(tmp_path, files, advice):
    for file in files:
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('{}')
    with pytest.raises(UserError, match=advice):
        own_data.read(str(tmp_path))


@pytest.mark.parametrize('splits', [('train',), ('train', 'test')])
def test_no_validation(tmp_path, splits):
    make(tmp_path, 'roboflow', splits)
    with pytest.raises(UserError, match=r'for val; looked for .* \(or valid for val\): give val_fraction=0.2 '):
        own_data.read(str(tmp_path))


WHOLE = {
    'CVAT': ('annotations/instances_default.json', 'images/default'),
    'FiftyOne': ('labels.json', 'data'),
    'Label Studio': ('result.json', 'images'),
    'converted': ('all.json', 'JPEGImages'),
    'converted beside': ('coco/all.json', 'images'),
    'train': ('train/_annotations.coco.json', 'train'),
}


@pytest.mark.parametrize('layout', WHOLE)
def test_one_file_for_all_images(tmp_path, layout):
    file, folder = WHOLE[layout]
    content = cats_and_dogs(10)
    write(tmp_path / file, content, tmp_path / folder)
    settings = own_data.read(str(tmp_path), 0.3, 4)
    assert settings['test_dataloader'] == settings['val_dataloader']
    assert settings['test_evaluator'] == settings['val_evaluator']
    assert settings['val_evaluator']['held_out'] == settings['val_dataloader']['dataset']['held_out']
    names = {}
    for split in ('train', 'val'):
        dataset = build(settings, split)
        names[split] = [Path(dataset.get_data_info(index)['img_path']).name for index in range(len(dataset))]
        assert (
            dataset.held_out_names()
            == names[split]
            == [image['file_name'] for image in part_of(content['images'], split, 0.3, 4)]
        )
        assert Path(dataset.get_data_info(0)['img_path']).is_file()
    assert len(names['val']) == 3 and len(names['train']) == 7
    # The metric has the truth of these alone.
    metric = METRICS.build(settings['val_evaluator'])
    metric.dataset_meta = dataset.metainfo
    samples = [dataset.get_data_info(index) for index in range(3)]
    found = [
        dict(
            img_id=sample['img_id'],
            bboxes=np.array([one['bbox'] for one in sample['instances']]),
            labels=np.array([one['bbox_label'] for one in sample['instances']]),
            scores=np.ones(len(sample['instances'])),
        )
        for sample in samples
    ]
    assert metric.compute_metrics([(sample, result) for sample, result in zip(samples, found)])['bbox_mAP'] == 1


def test_one_file_and_a_test_split(tmp_path):
    write(tmp_path / 'train.json', cats_and_dogs(5), tmp_path / 'images')
    write(tmp_path / 'test.json', cats_and_dogs(2, 10), tmp_path / 'images')
    settings = own_data.read(str(tmp_path), 0.2)
    assert [len(build(settings, split)) for split in SPLITS] == [4, 1, 2]


@pytest.mark.parametrize(
    ('files', 'fraction', 'message'),
    [
        (['train.json', 'val.json'], 0.2, 'has a file for val, val.json: leave val_fraction away'),
        (['train.json', 'all.json'], 0.2, 'has 2 files for all images, all.json, train.json: keep one'),
        (['mine.json'], 0.2, r'has no annotation file for all images; .*one of those that are there \(mine.json\)'),
        (['train.json'], 2, 'val_fraction is 2: set it to a number between 0 and 1'),
        (['train.json'], 0.9, 'val_fraction=0.9 of 3 images holds out 3'),
    ],
)
def test_nothing_to_hold_out_of(tmp_path, files, fraction, message):
    for file in files:
        write(tmp_path / file, cats_and_dogs(3), tmp_path / 'images')
    with pytest.raises(UserError, match=message):
        own_data.read(str(tmp_path), fraction)


def test_two_layouts_at_once(tmp_path):
    make(tmp_path, 'roboflow')
    make(tmp_path, 'flat')
    with pytest.raises(UserError, match=r'has 2 files for train, train/_annotations.coco.json, train.json: keep one'):
        own_data.read(str(tmp_path))


def test_val_and_valid(tmp_path):
    make(tmp_path, 'roboflow', ('train', 'val', 'valid'))
    with pytest.raises(UserError, match=r'has 2 files for val, val/.*, valid/.*: keep one'):
        own_data.read(str(tmp_path))


def test_no_images(tmp_path):
    make(tmp_path, 'flat')
    shutil.rmtree(tmp_path / 'images')
    with pytest.raises(UserError, match=r'has no image 0.png, the first in train.json; looked'):
        own_data.read(str(tmp_path))


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


def test_absolute_file_names(tmp_path):
    """labelme2coco and kwcoco write them."""
    make(tmp_path, 'flat', ('train', 'val'))
    shutil.move(tmp_path / 'images', tmp_path / 'elsewhere')
    for split in ('train', 'val'):
        path = tmp_path / f'{split}.json'
        content = json.loads(path.read_text())
        for image in content['images']:
            image['file_name'] = str(tmp_path / 'elsewhere' / image['file_name'])
        write(path, content)
    settings = own_data.read(str(tmp_path))
    assert settings['train_dataloader']['dataset']['data_prefix'] == dict(img='')
    check_data_paths(Config(settings), ('train', 'val', 'test'))
    assert all(Path(build(settings, 'train').get_data_info(index)['img_path']).is_file() for index in range(3))


@pytest.mark.parametrize('written', ['../../media/upload/1/{}', 'C:\\labels\\{}', '/gone/{}', 'gone/{}'])
def test_images_by_their_base_names(tmp_path, written):
    """Label Studio writes where they lay on its server."""
    for number, split in enumerate(('train', 'val')):
        content = cats_and_dogs(3, 10 * number)
        write(tmp_path / split / 'result.json', content, tmp_path / split / 'images')
        for image in content['images']:
            image['file_name'] = written.format(image['file_name'])
        write(tmp_path / split / 'result.json', content)
    settings = own_data.read(str(tmp_path))
    dataset = settings['val_dataloader']['dataset']
    assert dataset['data_prefix'] == dict(img='val/images/') and dataset['base_names']
    assert [build(settings, 'val').get_data_info(index)['img_path'] for index in range(3)] == [
        f'{tmp_path}/val/images/{number}.png' for number in (10, 11, 12)
    ]
    content['images'][1]['file_name'] = written.format('more/10.png')
    write(tmp_path / 'val/result.json', content)
    with pytest.raises(UserError, match=r'val/images/10.png is there, but 3 images share 2 such names'):
        own_data.read(str(tmp_path))


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
