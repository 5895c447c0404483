"""Where the files of one's own data are found, and what is said where they are not."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import METRICS

from sparse_rcnn_ext.datasets import own_data
from sparse_rcnn_ext.datasets.coco_file import part_of
from sparse_rcnn_ext.engine.config.paths import check_data_paths
from sparse_rcnn_ext.errors import UserError
from tests.datasets.test_own_data import LAYOUTS, SPLITS, build, make
from tests.datasets.tiny_coco import cats_and_dogs, write


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
    assert settings == own_data.read(str(tmp_path), allow_outside=True)
    assert settings['train_dataloader']['dataset']['data_prefix'] == dict(img='')
    check_data_paths(Config(settings), ('train', 'val', 'test'))
    assert all(Path(build(settings, 'train').get_data_info(index)['img_path']).is_file() for index in range(3))


@pytest.mark.parametrize('written', ['{}/other/{}', '../../other/{1}', 'x/../../../other/{1}'])
@pytest.mark.parametrize('number', [0, 2])
def test_images_outside_need_a_word(tmp_path, written, number):
    """Of whichever image, by whatever path."""
    root = make(tmp_path / 'mine', 'flat')
    (root / 'images/x').mkdir()
    content = json.loads((root / 'val.json').read_text())
    shutil.copytree(root / 'images', tmp_path / 'other')
    named = content['images'][number]['file_name'] = written.format(tmp_path, content['images'][number]['file_name'])
    write(root / 'val.json', content)
    with pytest.raises(
        UserError, match=rf'val\.json names the image {named}, which is outside of .*mine: set allow_out'
    ):
        own_data.read(str(root))
    settings = own_data.read(str(root), allow_outside=True)
    assert Path(build(settings, 'val').get_data_info(number)['img_path']).is_file()


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
