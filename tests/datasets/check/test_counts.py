"""What is kept and dropped, against the data set that training builds and against plain loops."""

import json
from collections import Counter
from pathlib import Path

import mmcv
import pytest
from mmdet.registry import DATASETS
from mmengine.config import Config

from sparse_rcnn_ext.datasets.check import check_datasets, summarise
from sparse_rcnn_ext.datasets.check.facts import Facts
from tests.datasets.check.small_data import WIDTH, SmallData, encode

NAN = float('nan')
COCO_MINI = ('annotations/instances_train2017.json', 'annotations/instances_val2017.json')


def check_one(config: Config, split: str = 'train') -> tuple[Facts, dict]:
    """The facts of a split's only data set, and its numbers in the JSON file."""
    result = check_datasets(config, (split,), threads=2)
    return result.facts[0], summarise(result)['datasets'][0]


def given_by_training(dataset: dict) -> tuple[list[str], Counter, Counter]:
    """The file names, and the boxes by label to learn from and to ignore, of the data set that a run would build."""
    built = DATASETS.build(dict(dataset, pipeline=[], serialize_data=False))
    infos = [built.get_data_info(index) for index in range(len(built))]
    boxes = (Counter(), Counter())
    for info in infos:
        for instance in info['instances']:
            boxes[instance['ignore_flag']][instance['bbox_label']] += 1
    return [info['img_path'] for info in infos], *boxes


def assert_agrees(facts: Facts, dataset: dict) -> None:
    paths, learned, ignored = given_by_training(dataset)
    images = [image for image, used in zip(facts.annotations.images, facts.used) if used]
    assert sorted(facts.source.path(image.file_name) for image in images) == sorted(paths)
    assert facts.per_class(facts.kept).tolist() == [learned[label] for label in range(len(facts.source.classes))]
    assert sum(fate.value == 'crowd' for fate in facts.box_fate) == ignored.total()
    assert facts.boxes_per_image().sum() == learned.total()


@pytest.fixture
def broken(tmp_path) -> SmallData:
    """Every defect with which training still starts, in known numbers."""
    data = SmallData(tmp_path / 'data')
    data.train['categories'].append(dict(id=7, name='cow'))
    for changes in (
        *[dict(category_id=9)] * 2,
        *[dict(category_id=7)] * 3,
        *[dict(bbox=[NAN, 2, 9, 9])] * 4,
        *[dict(bbox=[2, 2, 9, NAN])],
        *[dict(bbox=[5, 5, 0, 9])] * 6,
        *[dict(area=0)],
        *[dict(bbox=[WIDTH, 5, 9, 9])] * 8,
        *[dict(bbox=[5, -9, 9, 9])],
        *[dict(bbox=[5, 5, 0.9, 9], area=8.1)] * 10,
        *[dict(image_id=77)] * 11,
        *[dict(ignore=1)] * 12,
        *[dict(iscrowd=1)] * 13,
        dict(bbox=[-3, -3, 9, 9]),
    ):
        data.add_box(**changes)
    # One image without boxes, one with a bad box only, one with a box of another class, one that is too small.
    for number, name in enumerate(('empty.png', 'bad.png', 'other.png', 'small.png')):
        data.add_image(name, seed=100 + number)
    boxes = data.train['annotations']
    del boxes[-4]
    boxes[-3].update(bbox=[1, 1, 0, 5])
    boxes[-2].update(category_id=7)
    boxes[-1].update(bbox=[1, 1, 9, 9])
    data.train['images'][-1].update(width=20, height=15)
    data.files['small.png'] = encode('.png', 103, 20, 15)
    data.config.train_dataloader.dataset.filter_cfg.update(filter_empty_gt=True, min_size=16)
    data.write()
    return data


def test_every_reason_by_number(broken):
    _, numbers = check_one(broken.config)
    assert numbers['boxes'] == {
        'listed': 4 * 3 + 73 + 3,
        'kept': 13,
        'broken entry': 0,
        'image not in the file': 11,
        'marked "ignore"': 0,
        'unknown category': 2,
        'class not in the config': 4,
        'NaN or infinite': 5,
        'zero area': 8,
        'outside its image': 9,
        'under 1 px wide or high': 10,
        'image left out': 1,
        'crowd': 12 + 13,  # those marked "ignore" are crowds
    }
    assert sum(numbers['boxes'].values()) == 2 * numbers['boxes']['listed']
    assert numbers['images'] == {
        'listed': 8,
        'used': 5,
        'left out: no box of the classes (filter_empty_gt)': 2,
        'left out: a side below min_size': 1,
        'left out: not among indices': 0,
        'used, without boxes': 1,
        'used, missing': 0,
        'used, of 0 bytes': 0,
        'used, cut off or damaged': 0,
        'used, no image': 0,
        'used, too large': 0,
    }
    assert numbers['boxes_per_image'] == dict(mean=13 / 5, most=4)


@pytest.mark.parametrize('type_', ['CocoDataset', 'sparse_rcnn_ext.CocoDataset'])
@pytest.mark.parametrize('filters', [None, dict(filter_empty_gt=True, min_size=16), dict(min_size=16)])
@pytest.mark.parametrize('indices', [None, 3, -2, [4, 0]])
def test_kept_as_in_training_on_broken_data(broken, type_, filters, indices):
    dataset = broken.config.train_dataloader.dataset
    dataset.update(type=type_, filter_cfg=filters, indices=indices)
    facts, _ = check_one(broken.config)
    assert_agrees(facts, dataset)


def test_crowds_are_kept_if_asked_for(broken):
    dataset = broken.config.train_dataloader.dataset
    dataset.use_crowd = True
    facts, numbers = check_one(broken.config)
    assert numbers['boxes']['kept'] == 13 + 12 + 13
    assert_agrees(facts, dataset)


def test_sizes(tmp_path):
    data = SmallData(tmp_path / 'data', num_train=3)
    data.train['images'][2].update(width=96, height=16)
    data.files['train2.jpg'] = encode('.jpg', 9, 96, 16)
    data.config.train_dataloader.dataset.pipeline[1].scale = (640, 320)
    # COCO's borders themselves: 32² is medium and 96² is large.
    for width, height in ((32, 32), (32, 31.9), (96, 96), (96, 95.9)):
        data.add_box(category_id=2, bbox=[0, 0, width, height], area=width * height)
    data.write()
    _, numbers = check_one(data.config)
    assert numbers['classes'] == {
        'cat': dict(
            kept=6,
            dropped=0,
            sizes=dict(small=3, medium=3, large=0),
            network_sizes=expected_sizes(data, 1, (640, 320)),
        ),
        'dog': dict(
            kept=7,
            dropped=0,
            sizes=dict(small=3 + 1, medium=2, large=1),
            network_sizes=expected_sizes(data, 2, (640, 320)),
        ),
    }


def expected_sizes(data: SmallData, category: int, scale: tuple[int, int]) -> dict[str, int]:
    """By a plain loop and mmcv's own rule."""
    images = {image['id']: image for image in data.train['images']}
    counts = dict(small=0, medium=0, large=0)
    for box in data.train['annotations']:
        if box['category_id'] == category:
            image = images[box['image_id']]
            factor = mmcv.rescale_size((image['width'], image['height']), scale, return_scale=True)[1]
            area = box['area'] * factor**2
            counts['small' if area < 32**2 else 'medium' if area < 96**2 else 'large'] += 1
    return counts


@pytest.fixture(scope='module', params=COCO_MINI)
def coco_mini(request, repo_dir, shared_dir) -> Config:
    """Of COCO's config, with one of the two files in the place of the training data."""
    root = shared_dir / 'data/coco_mini'
    if not (root / request.param).is_file():
        pytest.skip(f'no file {root / request.param}')
    config = Config.fromfile(repo_dir / 'configs/sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py')
    folder = 'train2017/' if 'train' in request.param else 'val2017/'
    config.train_dataloader.dataset.update(data_root=str(root), ann_file=request.param, data_prefix=dict(img=folder))
    return config


def test_coco_mini_by_a_plain_loop(coco_mini):
    dataset = coco_mini.train_dataloader.dataset
    content = json.loads(Path(dataset.data_root, dataset.ann_file).read_text())
    sizes, crowds, images = Counter(), 0, set()
    names = {category['id']: category['name'] for category in content['categories']}
    for box in content['annotations']:
        if box['iscrowd']:
            crowds += 1
            continue
        images.add(box['image_id'])
        size = 'small' if box['area'] < 1024 else 'medium' if box['area'] < 9216 else 'large'
        sizes[names[box['category_id']], size] += 1
    _, numbers = check_one(coco_mini)
    assert sizes.total() > 500
    counted = {
        (name, size): count
        for name, counts in numbers['classes'].items()
        for size, count in counts['sizes'].items()
        if count
    }
    assert counted == sizes
    assert (numbers['boxes']['kept'], numbers['boxes']['crowd']) == (sizes.total(), crowds)
    assert numbers['images']['used, without boxes'] == numbers['images']['used'] - len(images)
    assert sum(numbers['images'][f'used, {problem}'] for problem in ('missing', 'of 0 bytes', 'no image')) == 0


@pytest.mark.parametrize('changes', [{}, dict(filter_cfg=dict(min_size=400)), dict(indices=11), dict(use_crowd=True)])
def test_kept_as_in_training_on_coco_mini(coco_mini, changes):
    config = coco_mini.copy()
    config.train_dataloader = dict(dataset=dict(coco_mini.train_dataloader.dataset, **changes))
    facts, _ = check_one(config)
    assert_agrees(facts, config.train_dataloader.dataset)
    assert 0 < facts.used.sum() <= len(facts.used)


def test_own_classes_in_another_order(tmp_path):
    """Labels go by the name; the order of the file does not count."""
    data = SmallData(tmp_path / 'data')
    data.config.train_dataloader.dataset.metainfo.classes = ('dog', 'cat')
    data.write()
    facts, numbers = check_one(data.config)
    assert [(name, counts['kept']) for name, counts in numbers['classes'].items()] == [('dog', 4), ('cat', 8)]
    assert_agrees(facts, data.config.train_dataloader.dataset)
