"""Parts of a model that do not fit each other are named, with both settings, before anything is learned."""

import pytest
import torch
from mmdet.registry import MODELS

from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.models.parts import check_strides
from tests.models.small_model import initialise, make_images, make_sample, small_config

NECK = 'model.neck.'
SIZES = [(96, 128)]


def refusal(overrides: dict) -> str:
    with pytest.raises(UserError) as error:
        MODELS.build(small_config(overrides).model)
    return str(error.value)


def test_levels_of_neck_and_roi_features():
    assert refusal({'model.neck.num_outs': 5}) == (
        'model.neck.num_outs makes 5 levels and model.roi_head.roi_features.featmap_strides names 4 strides: '
        'set both for the same levels'
    )
    one = {'model.neck.num_outs': 4, 'model.roi_head.roi_features.featmap_strides': [4, 8, 16]}
    assert 'makes 4 levels and model.roi_head.roi_features.featmap_strides names 3 strides' in refusal(one)


def test_levels_of_neck_and_query_generator():
    cfg = small_config()
    cfg.model.rpn_head.update(type='sparse_rcnn_ext.QueryGenerator', featmap_strides=(4, 8, 16))
    with pytest.raises(UserError, match=r'makes 4 levels and model\.rpn_head\.featmap_strides names 3 strides'):
        MODELS.build(cfg.model)


def test_levels_of_backbone_and_neck():
    assert refusal({'model.backbone.out_indices': (1, 2, 3)}) == (
        'model.backbone.out_indices gives 3 levels and model.neck.in_channels takes 4: set both for the same levels'
    )


def test_more_levels_pass():
    overrides = {'model.neck.num_outs': 5, 'model.roi_head.roi_features.featmap_strides': [4, 8, 16, 32, 64]}
    model = initialise(small_config(overrides)).double()
    losses = model.loss(make_images(SIZES), [make_sample(SIZES[0], 2)])
    assert all(loss.isfinite() for loss in losses.values())


def test_strides_of_other_levels():
    """As many levels, one stage further up: nothing would end, and nothing be right."""
    overrides = {'model.neck.start_level': 1, 'model.neck.add_extra_convs': 'on_output'}
    model = initialise(small_config(overrides)).double()
    with pytest.raises(UserError) as error:
        model.loss(make_images(SIZES), [make_sample(SIZES[0], 2)])
    assert str(error.value).startswith(
        'model.roi_head.roi_features.featmap_strides is (4, 8, 16, 32), and the levels of the neck have the strides '
        '[8, 16, 32, '
    )


@pytest.mark.parametrize('height', [1, 31, 33, 97, 800])
@pytest.mark.parametrize('rounded', ['up', 'down'])
def test_networks_that_round(height, rounded):
    levels = [-(-height // stride) if rounded == 'up' else max(1, height // stride) for stride in (4, 8, 16, 32)]
    pyramid = [torch.zeros(1, 1, level, 1) for level in levels]
    check_strides(torch.zeros(1, 3, height, 1), pyramid, (4, 8, 16, 32), 'strides')
