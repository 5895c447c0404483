"""The recipe's pipeline gives what the plain composition of mmdet's transforms gives."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmdet.datasets import MultiImageMixDataset
from mmengine.config import Config
from mmengine.registry import DATASETS

from sparse_rcnn_ext.analysis.pipeline_speed import plain_variants, recipe_variants
from sparse_rcnn_ext.errors import UserError
from tests.configs.recipe_640 import turn

SIDE = 96


@pytest.fixture(scope='module')
def small_coco(shared_dir, tmp_path_factory) -> Path:
    """coco_mini at a quarter of its sides: reading its photos would take most of the time."""
    root, folder = shared_dir / 'data/coco_mini', tmp_path_factory.mktemp('small')
    content = json.loads((root / 'annotations/instances_train2017.json').read_text())
    for name in ('annotations', 'train2017'):
        (folder / name).mkdir()
    for image in content['images']:
        pixels = cv2.imread(str(root / 'train2017' / image['file_name']), cv2.IMREAD_REDUCED_COLOR_4)
        image['height'], image['width'] = pixels.shape[:2]
        cv2.imwrite(str(folder / 'train2017' / image['file_name']), pixels)
    for annotation in content['annotations']:
        annotation['bbox'] = [number / 4 for number in annotation['bbox']]
        annotation['area'] /= 16
    (folder / 'annotations/instances_train2017.json').write_text(json.dumps(content))
    return folder


@pytest.fixture(scope='module')
def pipelines(small_coco) -> tuple[dict, dict]:
    """Ours and the plain ones, by name."""
    cfg = turn(data_root=f'{small_coco}/', long_side=SIDE)
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    return recipe_variants(dataset), plain_variants(cfg, dataset)


def statistics(dataset, number: int) -> dict[str, np.ndarray]:
    """Of each image the number of boxes and the mean level; of each box the root of the area and the centre."""
    np.random.seed(0)
    counts, levels, sizes, centers = [], [], [], []
    for index in range(number):
        sample = dataset[index % len(dataset)]
        assert sample['inputs'].shape == (3, SIDE, SIDE)
        boxes = sample['data_samples'].gt_instances.bboxes.tensor.numpy()
        counts.append(len(boxes))
        levels.append(float(sample['inputs'].float().mean()))
        sizes.extend((boxes[:, 2:] - boxes[:, :2]).prod(axis=1) ** 0.5)
        centers.extend((boxes[:, 2:] + boxes[:, :2]) / 2)
    return dict(counts=np.array(counts), levels=np.array(levels), sizes=np.array(sizes), centers=np.array(centers))


@pytest.mark.parametrize('name', ['mosaic only', 'no mosaic'])
def test_same_statistics(pipelines, name):
    ours, plain = (statistics(variants[name], 320) for variants in pipelines)
    assert ours['counts'].mean() == pytest.approx(plain['counts'].mean(), rel=0.15)
    assert ours['levels'].mean() == pytest.approx(plain['levels'].mean(), rel=0.05)
    np.testing.assert_allclose(ours['centers'].mean(axis=0), plain['centers'].mean(axis=0), atol=4)
    shares = (0.1, 0.25, 0.5, 0.75, 0.9)
    np.testing.assert_allclose(np.quantile(ours['sizes'], shares), np.quantile(plain['sizes'], shares), rtol=0.2)


def test_every_name_is_there(pipelines):
    ours, plain = pipelines
    assert set(ours) == set(plain) == {'whole recipe', 'mosaic only', 'no mosaic'}
    assert isinstance(plain['mosaic only'], MultiImageMixDataset)
    assert len(plain['whole recipe']) == len(ours['whole recipe'])


def test_whole_recipe_is_a_mosaic_four_times_of_five(pipelines):
    whole = pipelines[1]['whole recipe']
    np.random.seed(0)
    drawn = type(whole)(['mosaic'] * 3, ['basic'] * 3, whole.share)
    assert [drawn[index % 3] for index in range(2000)].count('mosaic') / 2000 == pytest.approx(0.8, abs=0.03)


def test_other_configs_have_no_plain_composition(pipelines):
    with pytest.raises(UserError, match='has no long_side, grey'):
        plain_variants(Config(dict(train_pipeline=[])), pipelines[0]['whole recipe'])
