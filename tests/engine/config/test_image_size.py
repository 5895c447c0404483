"""The size on which a config tests."""

import pytest
from mmengine.config import Config

from sparse_rcnn_ext.engine.config.input_images import inference_size, padded_size
from sparse_rcnn_ext.errors import UserError


def config(**settings) -> Config:
    return Config(settings, cfg_text='no file', filename='my.py')


def with_pipeline(*transforms: dict) -> Config:
    return config(test_dataloader=dict(dataset=dict(pipeline=list(transforms))))


@pytest.mark.parametrize(
    ('name', 'size', 'padded'),
    [
        ('sparse-rcnn_r50_fpn_1x_coco.py', (800, 1333), (800, 1344)),
        ('sparse-rcnn_r50_fpn_128-proposals_640-3x_coco.py', (640, 640), (640, 640)),
        ('sparse-rcnn_lite0_fpn_shapes.py', (160, 160), (160, 160)),
    ],
)
def test_recipes(repo_dir, name: str, size: tuple, padded: tuple):
    cfg = Config.fromfile(repo_dir / 'configs/sparse_rcnn' / name)
    assert inference_size(cfg) == size
    assert padded_size(cfg, size) == padded


def test_the_last_transform_that_says_it():
    resize = dict(type='Resize', scale=(1333, 800), keep_ratio=True)
    load = dict(type='LoadImageFromFile')
    # Without the ratio, a scale is width and height; so is the size of a Pad.
    assert inference_size(with_pipeline(load, dict(type='Resize', scale=(300, 500), keep_ratio=False))) == (500, 300)
    assert inference_size(with_pipeline(resize, dict(type='Pad', size=(1344, 1200)))) == (1200, 1344)
    assert inference_size(with_pipeline(resize, dict(type='Pad', size_divisor=32))) == (800, 1333)
    assert inference_size(with_pipeline(load, dict(type='Resize', scale=320))) == (320, 320)


@pytest.mark.parametrize('cfg', [with_pipeline(dict(type='LoadImageFromFile')), config()])
def test_no_size_is_one_sentence(cfg: Config):
    with pytest.raises(UserError, match=r'^my\.py says no size in .*pipeline: give one with --shape'):
        inference_size(cfg)
