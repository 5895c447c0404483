"""Findings that depend on several settings, or come together."""

import io
import json
from pathlib import Path

import pytest
from PIL import Image

from sparse_rcnn_ext.datasets.check import check_datasets, draw_check, write_report
from sparse_rcnn_ext.datasets.coco_file import part_of
from sparse_rcnn_ext.errors import UserError
from tests.datasets.check.small_data import WIDTH, SmallData, check, encode, levels


@pytest.fixture
def data(tmp_path: Path) -> SmallData:
    return SmallData(tmp_path / 'data')


def turn(data: SmallData, name: str) -> None:
    """Give a file the EXIF tag by which every reader turns it by 90 degrees."""
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = Image.open(io.BytesIO(encode('.jpg', 50)))
    pixels.save(file, 'jpeg', exif=exif)
    data.files[name] = file.getvalue()


def test_without_iscrowd_and_area(data):
    """Our data set and metric have defaults; mmdet's have none."""
    for entry in data.val['annotations'][:4]:
        del entry['iscrowd'], entry['area']
    assert check(data).findings == []
    data.config.val_evaluator.type = 'CocoMetric'
    result = check_datasets(data.config, ('val',), threads=1)
    assert levels(result) == {'no iscrowd or area': ('error', 4)}
    data.config.val_dataloader.dataset.type = 'CocoDataset'
    result = check_datasets(data.config, ('val',), threads=1)
    assert levels(result) == {
        'broken box': ('error', 4),
        'no iscrowd or area': ('error', 4),
        'image without boxes': ('note', 1),
    }


def test_one_file_for_two_parts(data):
    """What a data set does not have is no finding of it."""
    for number in range(4, 10):
        data.add_image(f'train{number}.jpg', seed=200 + number)
    data.write()
    names = {image['id']: image['file_name'] for image in data.train['images']}
    counts = {}
    for split in ('train', 'val'):
        dataset = data.config[f'{split}_dataloader'].dataset
        dataset.update(ann_file='train.json', held_out=dict(part=split, val_fraction=0.2, split_seed=0))
        if split == 'val':
            data.config.val_evaluator.ann_file = str(data.root / 'train.json')
        facts = check_datasets(data.config, (split,), threads=1).facts[0]
        counts[split] = [image.file_name for image in facts.annotations.images]
        assert counts[split] == [image['file_name'] for image in part_of(data.train['images'], split, 0.2)]
        inside = [entry for entry in data.train['annotations'] if names[entry['image_id']] in counts[split]]
        assert len(facts.annotations.xywh) == len(inside)
    assert len(counts['val']) == 2 and len(counts['train']) == 8


def test_images_under_the_last_part_of_their_names(data):
    data.write()
    for image in data.train['images']:
        image['file_name'] = f'../../media/1/{image["file_name"]}'
    (data.root / 'train.json').write_text(json.dumps(data.train))
    assert levels(check_datasets(data.config, ('train',), threads=1)) == {'missing image': ('error', 4)}
    data.config.train_dataloader.dataset.base_names = True
    assert levels(check_datasets(data.config, ('train',), threads=1)) == {}


def test_an_evaluation_without_a_class(data):
    for split in ('train', 'val'):
        data.config[f'{split}_dataloader'].dataset.metainfo.classes = ('cat', 'dog', 'owl')
    data.train['categories'].append(dict(id=9, name='owl'))
    data.train['annotations'][0]['category_id'] = 9
    data.config.model.roi_head.bbox_head.num_classes = 3
    assert levels(check(data)) == {'class missing': ('note', 1)}

    def check_val(**changes: list) -> dict:
        (data.root / 'val.json').write_text(json.dumps(data.val | changes))
        return levels(check_datasets(data.config, ('train', 'val'), threads=1))

    categories = [*data.val['categories'], dict(id=9, name='Owl')]
    assert check_val(categories=categories) == {'class missing': ('note', 1), 'other category': ('note', 1)}
    boxes = [data.val['annotations'][0] | dict(category_id=9), *data.val['annotations'][1:]]
    found = check_val(categories=categories, annotations=boxes)
    assert found['class missing'] == ('error', 1)


@pytest.mark.parametrize('boxes', [{}, {'annotations': []}])
def test_images_to_detect_in_alone(data, boxes):
    """As COCO's test images are: no fault in a test, but nothing to train or to validate with."""
    data.write()
    unlabelled = {key: value for key, value in data.val.items() if key != 'annotations'} | boxes
    (data.root / 'val.json').write_text(json.dumps(unlabelled))
    data.config.test_dataloader, data.config.test_evaluator = data.config.val_dataloader, data.config.val_evaluator
    result = check_datasets(data.config, ('train', 'test'), threads=1)
    assert levels(result) == {'nothing to evaluate': ('note', 1), 'image without boxes': ('note', 2)}
    assert 'there is nothing to evaluate' in result.findings[-1].text() + result.findings[0].text()
    assert not result.failed and '2 of 2 images used' in write_report(result)
    draw_check(result, 'title', data.root / 'check.png')
    assert levels(check_datasets(data.config, ('val', 'test'), threads=1))['nothing to evaluate'] == ('error', 1)


def test_ignored_boxes_and_the_id_0(data):
    """Our data set and metric know both; mmdet's do not."""
    for entry in data.val['annotations'][1:3]:
        entry['ignore'] = 1
    data.val['annotations'][0]['id'] = 0
    ours = {'crowd': ('note', 2)}
    assert levels(check(data)) == ours
    data.config.val_evaluator.type = 'CocoMetric'
    mistaken = {'"ignore" in evaluation': ('error', 2), 'box with the id 0': ('error', 1)}
    assert levels(check_datasets(data.config, ('val',), threads=1)) == ours | mistaken
    data.config.val_dataloader.dataset.type = 'CocoDataset'
    assert levels(check_datasets(data.config, ('val',), threads=1)) == {'marked "ignore"': ('note', 2)} | mistaken


@pytest.mark.parametrize('classes', [('dog', 'cat'), ('bird', 'dog')])
def test_labels_by_order_in_the_file(data, classes):
    """Where mmdet's own parts would take one class for another."""
    data.val['categories'].append(dict(id=9, name='cow'))
    for split in ('train', 'val'):
        data.config[f'{split}_dataloader'].dataset.metainfo.classes = classes
    missing = {'class missing': ('error', 1)} if 'bird' in classes else {}
    data.config.model.roi_head.bbox_head.num_classes = 2
    data.config.val_evaluator.type = 'CocoMetric'
    data.write()
    result = check_datasets(data.config, ('val',), threads=1)
    swapped = len(set(classes) & {'cat', 'dog'})
    assert levels(result) == missing | {
        'other category': ('note', 3 - swapped),
        'category swapped in evaluation': ('error', swapped),
    }
    data.config.train_dataloader.dataset.type = 'CocoDataset'
    result = check_datasets(data.config, ('train',), threads=1)
    found = {finding.key: finding for finding in result.findings}
    assert found['class swapped'].count == swapped
    assert f'dog becomes {classes[swapped - 1]}' in found['class swapped'].text()
    assert ('class missing' in found) == bool(missing)
    assert result.failed


def test_infinite_width_in_mmdets_data_set(data):
    data.add_box(bbox=[1, 1, float('inf'), 9])
    data.config.train_dataloader.dataset.type = 'CocoDataset'
    assert levels(check(data)) == {'NaN or infinite': ('error', 1)}


def test_nothing_to_learn_from(data):
    for entry in data.train['annotations']:
        entry['iscrowd'] = 1
    result = check(data)
    assert levels(result) == {'no boxes': ('error', 0), 'crowd': ('note', 12), 'image without boxes': ('note', 4)}
    data.config.train_dataloader.dataset.filter_cfg = dict(min_size=WIDTH)
    result = check_datasets(data.config, ('train',), threads=1)
    assert levels(result)['no images'] == ('error', 0)


def test_images_left_out(data):
    data.train['annotations'][:3] = []
    data.files['train0.jpg'] = b'what is not used is not read'
    data.config.train_dataloader.dataset.indices = 2
    result = check(data)
    assert levels(result) == {
        'left out: no box of the classes (filter_empty_gt)': ('note', 1),
        'left out: not among indices': ('note', 1),
    }
    assert result.facts[0].used.tolist() == [False, True, True, False]
    data.config.train_dataloader.dataset.filter_cfg = None
    result = check_datasets(data.config, ('train',), threads=1)
    assert levels(result)['image no image'] == ('error', 1)
    assert levels(result)['image without boxes'] == ('note', 1)


def test_a_turned_photograph(data):
    """Its JSON tells width and height as they are stored; every reader turns it."""
    turn(data, 'train0.jpg')
    result = check(data)
    assert levels(result) == {'size differs': ('error', 1)}
    assert 'train0.jpg: 64x48 in the JSON, 48x64 as read' in result.findings[0].text()
    assert '1 is turned by EXIF' in result.findings[0].fix
    data.config.train_dataloader.dataset.pipeline[0].color_type = 'color_ignore_orientation'
    assert check_datasets(data.config, ('train',), threads=1).findings == []


def test_the_same_name_in_two_folders(data):
    data.write()
    for split in ('train', 'val'):
        for image in getattr(data, split)['images']:
            old = image['file_name']
            image['file_name'] = f'{image["id"]}.jpg'
            (data.root / split).mkdir(exist_ok=True)
            (data.root / split / image['file_name']).write_bytes(data.files[old])
        (data.root / f'{split}.json').write_text(json.dumps(getattr(data, split)))
        data.config[f'{split}_dataloader'].dataset.data_prefix.img = split
    assert levels(check_datasets(data.config, ('train', 'val'), threads=1)) == {'image name in train too': ('note', 2)}
    name = data.val['images'][0]['file_name']
    (data.root / 'val' / name).write_bytes((data.root / 'train' / name).read_bytes())
    assert levels(check_datasets(data.config, ('train', 'val'), threads=1)) == {
        'image in train too': ('warning', 1),
        'image name in train too': ('note', 1),  # not also of the one that is the same
    }


def test_without_classes_in_the_config(data):
    """They are the categories of each file, and then the files must agree."""
    for split in ('train', 'val'):
        del data.config[f'{split}_dataloader'].dataset['metainfo']
    result = check(data)
    assert result.findings == []
    assert result.facts[0].source.classes == ('cat', 'dog')
    (data.root / 'val.json').write_text(json.dumps(dict(data.val, categories=data.val['categories'][::-1])))
    assert 'classes differ' in levels(check_datasets(data.config, ('train', 'val'), threads=1))
    (data.root / 'val.json').write_text(json.dumps(dict(data.val, categories=[])))
    with pytest.raises(UserError, match=r'val\.json has no categories'):
        check_datasets(data.config, ('val',), threads=1)
