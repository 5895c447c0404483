"""One stage: what it initialises, what it is made of, what reaches what."""

import math

import pytest
import torch
from torch import nn

from sparse_rcnn_ext.models.dii_head import DIIHead
from sparse_rcnn_ext.registry import MODELS

PRIOR_BIAS = -math.log((1 - 0.01) / 0.01)


def make_head(num_classes: int = 5, channels: int = 8, **settings) -> DIIHead:
    torch.manual_seed(0)
    interaction = dict(type='sparse_rcnn_ext.DynamicConv', feat_channels=4, input_feat_shape=3)
    return MODELS.build(
        dict(
            type='sparse_rcnn_ext.DIIHead',
            num_classes=num_classes,
            in_channels=channels,
            num_heads=2,
            feedforward_channels=12,
            dynamic_conv_cfg=interaction,
            **settings,
        )
    ).double()


def make_inputs(channels: int = 8) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """RoI features, proposal features and boxes of two images with three proposals each."""
    torch.manual_seed(1)
    corner = torch.rand(2, 3, 2, dtype=torch.float64) * 50
    boxes = torch.cat([corner, corner + 20], dim=-1)
    return (
        torch.randn(6, 9, channels, dtype=torch.float64),
        torch.randn(2, 3, channels, dtype=torch.float64),
        boxes,
    )


# 4 is the width of the box deltas, 8 that of all features, 12 of the feed-forward network, 64 of the dynamic layer.
@pytest.mark.parametrize('num_classes', [4, 5, 8, 12, 64])
def test_init_goes_by_name(num_classes):
    head = make_head(num_classes)
    before = {name: value.clone() for name, value in head.named_parameters()}
    head.init_weights()
    for name, value in head.named_parameters():
        if name == 'fc_cls.bias':
            torch.testing.assert_close(value, torch.full_like(value, PRIOR_BIAS), rtol=0, atol=1e-5)
        elif value.dim() > 1:
            bound = math.sqrt(6 / sum(value.shape))  # Xavier
            assert 0.7 * bound < value.abs().max() <= bound * (1 + 1e-6), name
            assert not torch.equal(value, before[name]), name
        else:
            assert torch.equal(value, before[name]), name


def test_norms_start_as_identities():
    head = make_head()
    head.init_weights()
    norms = [module for module in head.modules() if isinstance(module, nn.LayerNorm)]
    assert len(norms) == 3 + 3 + 1 + 3  # of the head, the dynamic convolution, the two towers
    assert all(norm.weight.eq(1).all() and norm.bias.eq(0).all() for norm in norms)


def test_prior_is_the_score_at_the_start():
    head = make_head(prior_prob=0.2)
    head.init_weights()
    head.cls_fcs[-2].weight.data.zero_()  # the norm: nothing but the bias is left
    assert head(*make_inputs())[0].sigmoid().sub(0.2).abs().max() < 1e-6


def test_shapes():
    logits, boxes, feats = make_head(num_classes=7)(*make_inputs())
    assert logits.shape == (2, 3, 7)
    assert boxes.shape == (2, 3, 4)
    assert feats.shape == (2, 3, 8)


def test_towers_have_the_lengths_asked_for():
    head = make_head(num_cls_fcs=2, num_reg_fcs=0)
    assert [sum(isinstance(layer, nn.Linear) for layer in tower) for tower in (head.cls_fcs, head.reg_fcs)] == [2, 0]
    assert all(layer.bias is None for layer in head.cls_fcs if isinstance(layer, nn.Linear))
    assert head(*make_inputs())[1].shape == (2, 3, 4)


def test_images_do_not_see_each_other():
    head = make_head()
    roi_feats, proposal_feats, boxes = make_inputs()
    both = head(roi_feats, proposal_feats, boxes)
    for image in range(2):
        alone = head(roi_feats[3 * image : 3 * image + 3], proposal_feats[image, None], boxes[image, None])
        for found, expected in zip(alone, both, strict=True):
            torch.testing.assert_close(found[0], expected[image], rtol=1e-10, atol=1e-11)


def test_order_of_proposals_does_not_matter():
    head = make_head()
    roi_feats, proposal_feats, boxes = make_inputs()
    order = [2, 0, 1]
    shuffled = head(roi_feats.view(2, 3, 9, 8)[:, order].flatten(0, 1), proposal_feats[:, order], boxes[:, order])
    for found, expected in zip(shuffled, head(roi_feats, proposal_feats, boxes), strict=True):
        torch.testing.assert_close(found, expected[:, order], rtol=1e-10, atol=1e-11)


def test_proposals_of_an_image_see_each_other():
    head = make_head()
    roi_feats, proposal_feats, boxes = make_inputs()
    proposal_feats.requires_grad_()
    head(roi_feats, proposal_feats, boxes)[0][0, 0].sum().backward()
    assert proposal_feats.grad[0].abs().sum(-1).gt(0).all()
    assert proposal_feats.grad[1].eq(0).all()


@pytest.mark.parametrize(
    ('settings', 'low', 'high'),
    [({}, 0.016, 62.5), (dict(wh_scale_range=(0, 100000 / 16)), 0, 6250)],
    ids=['mmdet', 'official'],
)
def test_range_of_sides_reaches_the_decoder(settings, low, high):
    head = make_head(**settings)
    nn.init.zeros_(head.fc_reg.weight)
    inputs = make_inputs()
    for delta, factor in ((-50.0, low), (50.0, high)):
        nn.init.constant_(head.fc_reg.bias, delta)
        boxes = head(*inputs)[1]
        sides = boxes[..., 2:] - boxes[..., :2]
        torch.testing.assert_close(sides, torch.full_like(sides, 20 * factor), rtol=1e-6, atol=1e-6)


def test_stds_scale_the_deltas():
    head = make_head(bbox_stds=(0.1, 0.2, 1.0, 1.0))
    nn.init.zeros_(head.fc_reg.weight)
    head.fc_reg.bias.data = torch.tensor([1.0, 1, 0, 0], dtype=torch.float64)
    inputs = make_inputs()
    moved = head(*inputs)[1] - inputs[2]
    expected = torch.tensor([2.0, 4, 2, 4], dtype=torch.float64).expand_as(moved)  # shares of a side of 20
    torch.testing.assert_close(moved, expected, rtol=0, atol=1e-5)


def test_stds_are_no_weights():
    assert 'bbox_stds' not in make_head().state_dict()


def test_dropout_works_in_training_alone():
    head = make_head(dropout=0.5)
    inputs = make_inputs()
    head.eval()
    assert torch.equal(head(*inputs)[0], head(*inputs)[0])
    head.train()
    assert not torch.equal(head(*inputs)[0], head(*inputs)[0])
    probabilities = {module.p for module in head.modules() if isinstance(module, nn.Dropout)}
    assert 0.5 in probabilities
    assert head.attention.attn.dropout == 0.5
