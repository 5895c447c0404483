"""Images for the network against mmdet's own pipeline."""

import cv2
import numpy as np
import pytest
from mmcv.transforms import Compose
from mmdet.registry import MODELS
from mmengine.dataset import pseudo_collate

from sparse_rcnn_ext.export.metadata import describe
from sparse_rcnn_ext.export.runtime.network_input import fitting_size, make_batch, resize
from tests.export.examples import TINY, build_detector, read_images, read_recipe

RECIPES = {
    'sparse-rcnn_r50_fpn_1x_coco': {},
    'sparse-rcnn_r50_fpn_128-proposals_640-3x_coco': {},
    'sparse-rcnn_lite0_fpn_shapes': {'test_dataloader.dataset.pipeline.1.keep_ratio': False},
}


@pytest.mark.parametrize(('name', 'options'), RECIPES.items())
@pytest.mark.parametrize('order', ['rgb', 'bgr'])
def test_equals_the_test_pipeline(repo_dir, shared_dir, name, options, order):
    cfg = read_recipe(repo_dir, name, options | {'model.data_preprocessor.bgr_to_rgb': order == 'rgb'})
    images = read_images(shared_dir)
    small = build_detector(read_recipe(repo_dir, options=TINY))
    batch = make_batch(images, describe(cfg, small, cfg.classes, True, False))

    steps = [step for step in cfg.test_dataloader.dataset.pipeline if not step['type'].startswith('Load')]
    steps[-1]['meta_keys'] = ('img_shape', 'scale_factor')
    pipeline = Compose(steps)
    packed = [pipeline(dict(img=image[..., ::-1], img_shape=image.shape[:2])) for image in images]
    expected = MODELS.build(cfg.model.data_preprocessor)(pseudo_collate(packed))
    levels = np.float32(cfg.model.data_preprocessor.std)[:, None, None]
    apart = np.abs(batch.pixels - expected['inputs'].numpy()) * levels
    assert apart.max() < 1.01, 'more than one level of 255'
    assert apart.mean() < 0.1
    assert batch.sizes.tolist() == [list(sample.img_shape) for sample in expected['data_samples']]
    np.testing.assert_allclose(batch.factors, [sample.scale_factor for sample in expected['data_samples']], rtol=1e-6)


@pytest.mark.parametrize('size', [(50, 70), (33, 20), (200, 300), (1, 1), (427, 640)])
def test_resize_equals_opencv(shared_dir, size):
    (image,) = read_images(shared_dir, 1)
    ours = resize(image, *size).astype(int)
    theirs = cv2.resize(np.ascontiguousarray(image), size[::-1], interpolation=cv2.INTER_LINEAR).astype(int)
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= 1


def test_a_fixed_size_holds_every_image():
    metadata = dict(resize=dict(scale=[800, 1333], keep_ratio=True), size=[800, 1344])
    assert fitting_size((480, 640), metadata) == (800, 1067)
    assert fitting_size((640, 480), metadata) == (800, 600)
    assert fitting_size((100, 1000), metadata) == (133, 1333)
    assert fitting_size((640, 480), metadata | dict(size=None)) == (1067, 800)
    assert fitting_size((2000, 1), metadata) == (800, 1), 'no side vanishes'


@pytest.mark.parametrize(
    ('image', 'given'),
    [
        (np.zeros((4, 4, 3), np.float32), r'float32 \(4, 4, 3\)'),
        (np.zeros((4, 4), np.uint8), r'uint8 \(4, 4\)'),
        (np.zeros((3, 4, 4), np.uint8), r'uint8 \(3, 4, 4\)'),
        (np.zeros((0, 4, 3), np.uint8), r'uint8 \(0, 4, 3\)'),
        ('dog.jpg', 'str'),
    ],
)
def test_other_images_are_refused(image, given):
    with pytest.raises(ValueError, match=f'an image is {given}: give arrays'):
        make_batch([image], dict(mean=[0] * 3, std=[1] * 3, pad=None))
