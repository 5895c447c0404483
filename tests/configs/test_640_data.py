"""The images that the 640-pixel recipe trains and tests on."""

import json
from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.dataset import pseudo_collate
from mmengine.evaluator import Evaluator
from mmengine.registry import DATASETS
from mmengine.structures import InstanceData

from tests.configs.recipe_640 import turn


@pytest.fixture
def data_root(shared_dir, tmp_path) -> Path:
    """COCO's layout with 80 training images: the first has no box, 8 boxes are around crowds."""
    source = shared_dir / 'data/coco_mini'
    for split in ('train', 'val'):
        (tmp_path / f'{split}2017').symlink_to(source / f'{split}2017')
        name = f'annotations/instances_{split}2017.json'
        truth = json.loads((source / name).read_text())
        blank = truth['images'][0]['id']
        truth['annotations'] = [box for box in truth['annotations'] if box['image_id'] != blank]
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps(truth))
    return tmp_path


def training_instances(data_root, **knobs) -> list[list[dict]]:
    """The boxes of every training image."""
    dataset = DATASETS.build(turn(data_root=str(data_root), **knobs).train_dataloader.dataset)
    return [dataset.get_data_info(index)['instances'] for index in range(len(dataset))]


def test_remove_blank(data_root):
    assert len(training_instances(data_root)) == 79
    images = training_instances(data_root, remove_blank=False)
    assert len(images) == 80 and sum(not boxes for boxes in images) == 1


def test_use_crowd(data_root):
    """mmdet sets boxes with an ignore flag apart, and Sparse R-CNN learns from the others only."""
    counts = {}
    for use_crowd in (False, True):
        images = training_instances(data_root, use_crowd=use_crowd)
        counts[use_crowd] = (sum(box['ignore_flag'] for boxes in images for box in boxes), sum(map(len, images)))
    assert counts[False][0] == 8
    assert counts[True] == (0, counts[False][1])


def test_debug_takes_the_first_images(data_root):
    cfg = turn(data_root=str(data_root), debug=5)
    everything = turn(data_root=str(data_root))
    for split in ('train', 'val', 'test'):
        few, all_images = (DATASETS.build(each[f'{split}_dataloader'].dataset) for each in (cfg, everything))
        assert [few.get_data_info(i)['img_id'] for i in range(len(few))] == [
            all_images.get_data_info(i)['img_id'] for i in range(5)
        ]


def test_scores_of_a_part_of_the_data_are_those_of_its_images(data_root):
    """A perfect detector on 5 of the images has an AP of 1, not of 5 / 79."""
    cfg = turn(data_root=str(data_root), debug=5, long_side=96)
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    evaluator = Evaluator(cfg.val_evaluator)
    evaluator.dataset_meta = dataset.metainfo
    for index in range(len(dataset)):
        sample = dataset[index]['data_samples']
        truth = sample.gt_instances
        sample.pred_instances = InstanceData(
            bboxes=truth.bboxes.tensor, labels=truth.labels, scores=torch.ones(len(truth))
        )
        evaluator.process([sample])
    assert evaluator.evaluate(len(dataset))['coco/bbox_mAP'] == 1


@pytest.mark.parametrize('split', ['val', 'test'])
def test_tested_images_become_squares(shared_dir, split):
    cfg = turn(data_root=f'{shared_dir}/data/coco_mini/')
    dataset = DATASETS.build(cfg[f'{split}_dataloader'].dataset)
    shapes = [dataset.get_data_info(i) for i in range(len(dataset))]
    wide = next(i for i, shape in enumerate(shapes) if shape['width'] > shape['height'])
    tall = next(i for i, shape in enumerate(shapes) if shape['width'] < shape['height'])
    preprocessor = MODELS.build(cfg.model.data_preprocessor)
    grey = (114 - preprocessor.mean[0]) / preprocessor.std[0]
    for indices in ([wide], [tall], [wide, tall]):
        batch = preprocessor(pseudo_collate([dataset[i] for i in indices]), training=False)
        assert batch['inputs'].shape == (len(indices), 3, 640, 640)
        for image, sample in zip(batch['inputs'], batch['data_samples'], strict=True):
            assert sample.img_shape == (640, 640)
            factors = sample.scale_factor
            height, width = (side * factor for side, factor in zip(sample.ori_shape, factors[::-1], strict=True))
            assert max(height, width) == pytest.approx(640) and min(height, width) < 600
            assert factors[0] == pytest.approx(factors[1], rel=0.01)
            height, width = round(height), round(width)
            for margin in (image[0, height:], image[0, :, width:]):
                assert torch.equal(margin, grey.expand_as(margin))
            assert image[0, :height, :width].std() > 0.1
