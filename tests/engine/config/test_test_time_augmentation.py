"""Configs with several views of each image."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.datasets.transforms import PackDetInputs  # noqa: F401  registers mmdet's transforms
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.structures import InstanceData
from torch import nn

from sparse_rcnn_ext.engine.config.run_config import load_config
from sparse_rcnn_ext.engine.config.test_time_augmentation import TTA_MODEL, TTA_VIEWS, augment_pipeline, switch_tta
from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.models import BoxFusionTTA

PLAIN = 'sparse-rcnn_r50_fpn_1x_coco.py'
SQUARE = 'sparse-rcnn_r50_fpn_128-proposals_640-3x_coco.py'


class BlobFinder(nn.Module):
    """Finds the one white rectangle of each image, to whole pixels of the network's input."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[int, int]] = []

    def test_step(self, data: dict) -> list:
        for image, sample in zip(data['inputs'], data['data_samples']):
            self.shapes.append(tuple(image.shape[1:]))
            rows, columns = torch.nonzero(image[0] > 127, as_tuple=True)
            box = torch.stack([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]).float()[None]
            box = box / box.new_tensor(sample.scale_factor).repeat(2)
            sample.pred_instances = InstanceData(bboxes=box, scores=torch.tensor([0.5]), labels=torch.tensor([0]))
        return data['data_samples']


@pytest.fixture
def recipe(repo_dir) -> Callable[[str], Config]:
    return lambda name: load_config(str(repo_dir / 'configs/sparse_rcnn' / name), {}, None)


def views_of(cfg: Config, folder: Path, instances: list[dict] | None = None) -> dict:
    """What the test pipeline makes of an image of 480×300 pixels with a white rectangle."""
    image = np.zeros((300, 480, 3), np.uint8)
    image[60:200, 50:110] = 255
    cv2.imwrite(str(folder / 'a.png'), image)
    pipeline = Compose(cfg.test_dataloader.dataset.pipeline)
    return pipeline(dict(img_path=str(folder / 'a.png'), img_id=1, instances=instances or []))


@pytest.mark.parametrize('name', [PLAIN, SQUARE])
def test_every_view_gives_the_same_box(recipe, tmp_path, name):
    """Also where images are padded to squares: mirrored after that, a box would be off by the padding."""
    cfg = recipe(name)
    switch_tta(cfg)
    finder = BlobFinder()
    (result,) = BoxFusionTTA(finder, iou_threshold=0.9).test_step(pseudo_collate([views_of(cfg, tmp_path)]))
    found = result.pred_instances
    assert len(finder.shapes) == 6
    assert len(found) == 1 and found.scores.tolist() == pytest.approx([0.5]), 'all six agree'
    np.testing.assert_allclose(found.bboxes[0], [50, 60, 110, 200], atol=0.7)


def test_the_sizes_of_views(recipe, tmp_path):
    def shapes(name: str) -> list[tuple[int, int]]:
        cfg = recipe(name)
        switch_tta(cfg)
        return [tuple(view.shape[1:]) for view in views_of(cfg, tmp_path)['inputs']]

    # Fitted into 1066×640, 1333×800 and 1600×960.
    assert shapes(PLAIN) == [(640, 1024)] * 2 + [(800, 1280)] * 2 + [(960, 1536)] * 2
    assert shapes(SQUARE) == [(512, 512)] * 2 + [(640, 640)] * 2 + [(768, 768)] * 2


def test_views_are_not_padded_beyond_their_squares(recipe):
    cfg = recipe(SQUARE)
    assert cfg.model.data_preprocessor.pad_size_divisor == 640
    switch_tta(cfg)
    divisor = cfg.model.module.data_preprocessor.pad_size_divisor
    assert all(side % divisor == 0 for side in (512, 640, 768)) and divisor % 32 == 0


def test_annotations_stay_in_the_pixels_of_the_file(recipe, tmp_path):
    cfg = recipe(PLAIN)
    switch_tta(cfg)
    instances = [dict(bbox=[50, 60, 110, 200], bbox_label=0, ignore_flag=0)]
    for sample in views_of(cfg, tmp_path, instances)['data_samples']:
        assert sample.gt_instances.bboxes.tensor.tolist() == [[50, 60, 110, 200]]


def test_all_recipes_can(repo_dir, recipe):
    names = [path.name for path in (repo_dir / 'configs/sparse_rcnn').glob('*.py') if 'own-data' not in path.name]
    assert len(names) >= 8
    for name in names:
        cfg = recipe(name)
        assert (cfg.tta_model.type, cfg.tta_views.to_dict()) == (TTA_MODEL['type'], TTA_VIEWS)
        inner = cfg.model.to_dict()
        inner['data_preprocessor'].pop('pad_size_divisor')
        switch_tta(cfg)
        outer = cfg.model.module.to_dict()
        outer['data_preprocessor'].pop('pad_size_divisor')
        assert outer == inner
        assert [step.type for step in cfg.test_dataloader.dataset.pipeline] == ['LoadImageFromFile', 'mmcv.TestTimeAug']


def test_the_config_decides(recipe):
    cfg = recipe(PLAIN)
    cfg.merge_from_dict({'tta_views.ratios': (0.5, 1.0), 'tta_views.flip': False, 'tta_model.iou_threshold': 0.8})
    switch_tta(cfg)
    resizes, flips = cfg.test_dataloader.dataset.pipeline[1].transforms[:2]
    assert [step.scale for step in resizes] == [(666, 400), (1333, 800)]
    assert [step.prob for step in flips] == [0.0]
    assert cfg.model.iou_threshold == 0.8


def test_mmdets_own_pipeline_and_model(recipe):
    cfg = recipe(PLAIN)
    views = [[dict(type='Resize', scale=(100, 60))], [dict(type='PackDetInputs', meta_keys=('flip',))]]
    cfg.tta_pipeline = [dict(type='LoadImageFromFile'), dict(type='TestTimeAug', transforms=views)]
    cfg.tta_model = dict(type='DetTTAModel', tta_cfg=dict(nms=dict(type='nms', iou_threshold=0.6), max_per_img=100))
    switch_tta(cfg)
    assert cfg.test_dataloader.dataset.pipeline == cfg.tta_pipeline
    assert cfg.model.type == 'DetTTAModel' and cfg.model.module.type == 'sparse_rcnn_ext.SparseRCNN'


def test_a_config_without_any_word_of_it(recipe):
    cfg = recipe(PLAIN)
    cfg.pop('tta_model')
    cfg.pop('tta_views')
    switch_tta(cfg)
    assert cfg.model.type == 'sparse_rcnn_ext.BoxFusionTTA'
    assert len(cfg.test_dataloader.dataset.pipeline[1].transforms[0]) == 3


@pytest.mark.parametrize(
    'middle',
    [
        [dict(type='Resize', scale_factor=0.5)],
        [dict(type='Resize', scale=(640, 640)), dict(type='Pad', size_divisor=32)],
        [dict(type='Resize', scale=(640, 640)), dict(type='Pad', size=(800, 800))],
        [dict(type='Resize', scale=(640, 640)), dict(type='CenterCrop', crop_size=(100, 100))],
        [dict(type='Pad', size=(640, 640))],
    ],
)
def test_other_pipelines_are_refused(middle):
    pipeline = [dict(type='LoadImageFromFile'), *middle, dict(type='PackDetInputs')]
    with pytest.raises(UserError, match='write tta_pipeline'):
        augment_pipeline(pipeline, (1.0,), True)


def test_without_resize_views_are_shares_of_the_file():
    pipeline = [dict(type='LoadImageFromFile', color_type='grayscale'), dict(type='PackDetInputs')]
    load, views = augment_pipeline(pipeline, (0.5, 1.0), False)
    assert load == pipeline[0]
    assert [(step['scale_factor'], step['keep_ratio']) for step in views['transforms'][0]] == [(0.5, True), (1.0, True)]


def test_whatever_loads_the_image_stays():
    own = dict(type='LoadFromDatabase', table='photographs')
    pipeline = [dict(type='LoadAnnotations'), own, dict(type='Resize', scale=640), dict(type='PackDetInputs')]
    load, views = augment_pipeline(pipeline, (1.0,), True)
    assert load == own
    assert [step[0]['type'] for step in views['transforms']][2:] == ['LoadAnnotations', 'PackDetInputs']


def test_ratios_that_make_no_sense():
    pipeline = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=640), dict(type='PackDetInputs')]
    for ratios in ((), (1.0, 0.0)):
        with pytest.raises(UserError, match=r'tta_views\.ratios'):
            augment_pipeline(pipeline, ratios, True)
    assert augment_pipeline(pipeline, (1.5,), True)[1]['transforms'][0][0]['scale'] == (960, 960)


def test_a_dumped_config_can_too(recipe, tmp_path):
    recipe(PLAIN).dump(tmp_path / 'dumped.py')
    cfg = Config.fromfile(tmp_path / 'dumped.py')
    switch_tta(cfg)
    assert cfg.model.type == 'sparse_rcnn_ext.BoxFusionTTA' and len(views_of(cfg, tmp_path)['inputs']) == 6
