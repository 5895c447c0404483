"""What a user reads where a checkpoint of another model is given."""

import re

import pytest
import torch
from mmdet.registry import MODELS
from torch import nn

from sparse_rcnn_ext.engine.checkpoints.state_fit import compare_states, refuse_official_names
from sparse_rcnn_ext.errors import UserError
from tests.models.small_model import CHANNELS, STAGES, build_model

PROPOSALS = 'model.rpn_head.num_proposals'
NUM_STAGES = 'model.roi_head.num_stages'
CLASSES = 'model.roi_head.bbox_head.num_classes'
OTHER = 'give the config that it was trained with'


@pytest.fixture(scope='module')
def own() -> dict:
    return build_model().state_dict()


def fit_of(own: dict, overrides: dict):
    return compare_states(own, build_model(overrides).state_dict())


@pytest.mark.parametrize(
    'overrides',
    [
        {PROPOSALS: 7},
        {PROPOSALS: 20},
        {NUM_STAGES: 1},
        {NUM_STAGES: 5},
        {CLASSES: 1},
        {CLASSES: 80},
        {NUM_STAGES: 2, PROPOSALS: 30},
        {NUM_STAGES: 4, PROPOSALS: 30, CLASSES: 9},
    ],
)
def test_the_advice_makes_it_fit(own, overrides):
    advice = fit_of(own, overrides).advice
    assert advice.startswith('set ') and advice.endswith(', or give a checkpoint of this config')
    settings = {name: int(value) for name, value in re.findall(r'(model\.\S+) to (\d+)', advice)}
    assert settings == overrides
    assert not fit_of(build_model(settings).state_dict(), overrides).phrases


def test_share_of_other_proposals(own):
    fit = fit_of(own, {PROPOSALS: 7})
    total = sum(not name.endswith('num_batches_tracked') for name in own)
    assert (fit.matching, fit.total, fit.classifiers) == (total - 2, total, [])
    share = f'{total - 2} of {total} parameters (99%) match: '
    assert str(fit) == (
        f'{share}rpn_head.init_proposal_bboxes.weight is 7×4 in the file and 10×4 in the model; '
        f'rpn_head.init_proposal_features.weight is 7×{CHANNELS} in the file and 10×{CHANNELS} in the model'
    )


def test_share_of_other_stages(own):
    per_stage = sum(name.startswith('roi_head.bbox_head.0.') for name in own)
    fewer, more = fit_of(own, {NUM_STAGES: 1}), fit_of(own, {NUM_STAGES: STAGES + 1})
    assert fewer.total - fewer.matching == len(fewer.phrases) == (STAGES - 1) * per_stage
    assert 'roi_head.bbox_head.1.attention.attn.in_proj_weight (48×16) is not in the file' in str(fewer)
    assert more.matching == more.total and len(more.phrases) == per_stage
    assert 'roi_head.bbox_head.3.attention.attn.in_proj_weight (48×16) is not in the model' in str(more)


def test_no_advice_that_would_not_help(own):
    """Other widths beside another number of proposals, stages or classes."""
    for overrides in ({PROPOSALS: 7}, {NUM_STAGES: 2}, {CLASSES: 9}):
        assert fit_of(own, {**overrides, 'model.roi_head.bbox_head.feedforward_channels': 32}).advice == OTHER


def test_another_detector(own):
    """It shares the backbone, and its classifiers and box heads are called as ours."""
    heads = dict(type='Shared2FCBBoxHead', in_channels=16, fc_out_channels=8, roi_feat_size=7, num_classes=80)
    cascade = nn.ModuleDict(dict(roi_head=nn.ModuleDict(dict(bbox_head=nn.ModuleList(map(MODELS.build, [heads] * 3))))))
    backbone = {name: value for name, value in own.items() if name.startswith('backbone.')}
    fit = compare_states(own, cascade.state_dict() | backbone)
    assert fit.matching == sum(not name.endswith('num_batches_tracked') for name in backbone)
    assert fit.classifiers == [] and fit.advice == OTHER


def test_a_file_of_anything(own):
    fit = compare_states(own, dict(epoch=3, optimizer={}, names=['a']))
    assert fit.matching == 0 and fit.advice == OTHER
    assert len(fit.phrases) == fit.total + 3


def test_what_training_alone_has_need_not_fit(own):
    """A model that learned from noised boxes is tested by the plain config, and goes on from a plain one."""
    noised = own | {'denoising.content.weight': torch.zeros(1, CHANNELS)}
    for model, file in ((own, noised), (noised, own)):
        assert compare_states(model, file) == compare_states(own, own)


def test_official_names(own):
    official = {'init_proposal_boxes.weight': torch.zeros(2, 4)}
    for checkpoint in (official, dict(model=official, iteration=1)):
        with pytest.raises(UserError, match=r'^a\.pth has the names of the official repository: run tools/convert/off'):
            refuse_official_names(checkpoint, 'a.pth')
    for checkpoint in (own, dict(state_dict=own, meta={}), {'model': 5, 3: 4}):
        refuse_official_names(checkpoint, 'a.pth')
