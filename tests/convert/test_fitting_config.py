"""The config that is named fits, with the settings that are named and no others."""

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config

from sparse_rcnn_ext.convert import find_fitting_config
from sparse_rcnn_ext.errors import UserError
from tests.convert.official_model import RECIPES, our_state

DEPTH = 'model.backbone.depth'
PROPOSALS = 'model.rpn_head.num_proposals'
STAGES = 'model.roi_head.num_stages'
HEAD = 'model.roi_head.bbox_head'
SMALL_RESNET = {'model.neck.in_channels': [64, 128, 256, 512]}

CASES = [
    ({}, 'sparse-rcnn_r50_fpn_ms-480-800-3x_coco.py', {}),
    ({PROPOSALS: 300}, 'sparse-rcnn_r50_fpn_300-proposals_crop-ms-480-800-3x_coco.py', {}),
    ({DEPTH: 101}, 'sparse-rcnn_r101_fpn_ms-480-800-3x_coco.py', {}),
    ({DEPTH: 101, PROPOSALS: 300}, 'sparse-rcnn_r101_fpn_300-proposals_crop-ms-480-800-3x_coco.py', {}),
    ({PROPOSALS: 77, STAGES: 4}, 'sparse-rcnn_r50_fpn_ms-480-800-3x_coco.py', {PROPOSALS: 77, STAGES: 4}),
    ({DEPTH: 152}, 'sparse-rcnn_r101_fpn_ms-480-800-3x_coco.py', {DEPTH: 152}),
    ({DEPTH: 18, **SMALL_RESNET}, 'backbones/sparse-rcnn_r18_fpn_1x_coco.py', {}),
    ({DEPTH: 34, **SMALL_RESNET, STAGES: 1}, 'backbones/sparse-rcnn_r34_fpn_1x_coco.py', {STAGES: 1}),
    ({PROPOSALS: 500, f'{HEAD}.num_classes': 1}, 'sparse-rcnn_r50_fpn_500-proposals_crowdhuman.py', {}),
    (
        {PROPOSALS: 500, f'{HEAD}.num_classes': 7},
        'sparse-rcnn_r50_fpn_ms-480-800-3x_coco.py',
        {PROPOSALS: 500, f'{HEAD}.num_classes': 7},
    ),
    (
        {f'{HEAD}.num_cls_fcs': 2, f'{HEAD}.num_reg_fcs': 1, f'{HEAD}.dynamic_conv_cfg.feat_channels': 32},
        'sparse-rcnn_r50_fpn_ms-480-800-3x_coco.py',
        {f'{HEAD}.num_cls_fcs': 2, f'{HEAD}.num_reg_fcs': 1, f'{HEAD}.dynamic_conv_cfg.feat_channels': 32},
    ),
]


@pytest.mark.parametrize(('overrides', 'recipe', 'options'), CASES)
def test_config(overrides, recipe, options):
    state = our_state(overrides)
    found = find_fitting_config(state, 'a.pth', RECIPES)
    assert found.path == RECIPES / recipe
    assert found.shape_options == options
    cfg = Config.fromfile(found.path)
    cfg.merge_from_dict({**found.options, 'model.backbone.init_cfg': None})
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    assert {name: value.shape for name, value in model.state_dict().items()} == {
        name: value.shape for name, value in state.items()
    }
    # The two numbers that are no shapes, as the official code has them.
    assert model.roi_head.bbox_head[0].wh_scale_range == (0, 6250)
    assert model.roi_head.roi_features.level_eps == 4e-8


@pytest.mark.parametrize('sizes', [{}, {DEPTH: 101, PROPOSALS: 300}])
def test_softmax(sizes):
    state = our_state({f'{HEAD}.num_classes': 8, **sizes})
    found = find_fitting_config(state, 'a.pth', RECIPES, softmax=True)
    assert found.path == RECIPES / 'ablations/softmax.py'
    assert found.shape_options == {f'{HEAD}.num_classes': 7, **sizes}
    assert str(found.sizes).endswith('6 stages, 7 classes in one softmax')


def test_words():
    state = our_state({STAGES: 1, f'{HEAD}.num_classes': 1})
    assert str(find_fitting_config(state, 'a.pth', RECIPES).sizes) == 'ResNet-50, 100 proposals, 1 stage, 1 class'


def test_parts_that_are_missing():
    state = our_state()
    del state['rpn_head.init_proposal_bboxes.weight']
    with pytest.raises(UserError, match=r'a\.pth lacks rpn_head\.init_proposal_bboxes\.weight: give .* a whole'):
        find_fitting_config(state, 'a.pth', RECIPES)
    state = our_state()
    del state['roi_head.bbox_head.3.fc_reg.bias']
    with pytest.raises(UserError, match=r'a\.pth fits no config .* roi_head\.bbox_head\.3\.fc_reg\.bias \(4\) is not'):
        find_fitting_config(state, 'a.pth', RECIPES)


def test_backbones_of_other_shapes():
    state = {name: value for name, value in our_state().items() if not name.startswith('backbone.layer3.5.')}
    with pytest.raises(UserError, match=r'a\.pth has \(3, 4, 5, 3\) blocks .*: give .* 18, 34, 50, 101, 152 layers'):
        find_fitting_config(state, 'a.pth', RECIPES)
    grouped = our_state()
    grouped['backbone.layer1.0.conv2.weight'] = grouped['backbone.layer1.0.conv2.weight'][:, :2]
    with pytest.raises(UserError, match=r'fits no config .*conv2\.weight is 64×2×3×3 in the file and 64×64×3×3'):
        find_fitting_config(grouped, 'a.pth', RECIPES)
