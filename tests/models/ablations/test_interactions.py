"""How a proposal reads its RoI, and whether proposals see each other: mechanisms of the rows, and oracles."""

import math

import pytest
import torch
from torch import Tensor, nn

from sparse_rcnn_ext.models.ablations import RoIAttention, RoIFullyConnected
from tests.configs.ablation_rows import WHWH, build_row, make_pyramid
from tests.models.small_model import CHANNELS


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def read_roi(model: nn.Module, proposal_feats: Tensor, seed: int = 0) -> Tensor:
    """What the first stage's interaction makes of one RoI for each proposal (M, C)."""
    roi = draw(1, 49, CHANNELS, seed=seed).expand(len(proposal_feats), -1, -1)
    return model.roi_head.bbox_head[0].instance_interactive_conv(proposal_feats, roi)


@pytest.mark.parametrize('row', ['roi-fc', 'roi-fc_no-reuse', 'roi-fc_one-stage', 'roi-fc_self-attention'])
def test_without_interaction_no_filter_depends_on_a_proposal(row):
    model = build_row(row)
    assert not [name for name, _ in model.named_parameters() if 'dynamic' in name]
    proposal_feats = draw(2, CHANNELS, seed=3).requires_grad_()
    one, other = read_roi(model, proposal_feats)
    assert torch.equal(one, other)
    assert not torch.equal(one, read_roi(model, proposal_feats, seed=1)[0])  # it does read the RoI
    assert torch.autograd.grad(one.sum(), proposal_feats, allow_unused=True) == (None,)


@pytest.mark.parametrize('row', ['default', 'roi-attention'])
def test_with_interaction_each_proposal_reads_in_its_own_way(row):
    one, other = read_roi(build_row(row), draw(2, CHANNELS, seed=3))
    assert (one - other).abs().max() > 0.01


@pytest.mark.parametrize(('row', 'is_a_set'), [('roi-attention', True), ('default', False), ('roi-fc', False)])
def test_attention_takes_the_positions_of_a_roi_as_a_set(row, is_a_set):
    """The others end in a layer over all positions, which knows their order."""
    model = build_row(row)
    interaction = model.roi_head.bbox_head[0].instance_interactive_conv
    feats, roi = draw(2, CHANNELS), draw(2, 49, CHANNELS)
    assert torch.allclose(interaction(feats, roi), interaction(feats, roi.flip(1)), rtol=1e-10) == is_a_set
    assert bool([name for name, _ in model.named_parameters() if 'dynamic' in name]) == (row == 'default')


@pytest.mark.parametrize(
    ('row', 'expected'),
    [
        ('roi-fc', False),
        ('roi-fc_no-reuse', False),
        ('roi-fc_one-stage', False),
        ('roi-fc_self-attention', True),
        ('roi-attention', True),
        ('default', True),
    ],
)
def test_proposals_see_each_other_by_self_attention_alone(row, expected):
    model = build_row(row)
    boxes, feats = model.rpn_head(WHWH)
    feats = feats.detach().clone().requires_grad_()
    model.roi_head(make_pyramid(), boxes, feats).logits[:, :, 0].sum().backward()
    assert feats.grad[:, 0].any()
    assert bool(feats.grad[:, 1:].any()) == expected


def test_roi_attention_equals_its_formula():
    torch.manual_seed(0)
    module = RoIAttention(in_channels=6, num_heads=2).double()
    feats, roi = draw(3, 6), draw(3, 4, 6)
    to_query, to_key, to_value = (
        (weight, bias) for weight, bias in zip(module.attn.in_proj_weight.chunk(3), module.attn.in_proj_bias.chunk(3))
    )
    expected = []
    for one, positions in zip(feats, roi):
        query, keys, values = (
            x @ w.T + b for x, (w, b) in ((one, to_query), (positions, to_key), (positions, to_value))
        )
        heads = []
        for head in (slice(0, 3), slice(3, 6)):
            weights = torch.softmax(torch.stack([key[head] @ query[head] / math.sqrt(3) for key in keys]), 0)
            heads.append(sum(weight * value[head] for weight, value in zip(weights, values)))
        expected.append(module.attn.out_proj(torch.cat(heads)))
    torch.testing.assert_close(module(feats, roi), torch.stack(expected), rtol=1e-10, atol=1e-12)


def test_fully_connected_layers_in_a_row():
    torch.manual_seed(0)
    module = RoIFullyConnected(in_channels=5, input_feat_shape=2, num_fcs=3).double()
    roi = draw(4, 4, 5)
    before = roi.clone()
    expected = roi.reshape(4, 20)
    layers = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
    assert [layer.in_features for layer in layers] == [20, 5, 5]
    for layer in layers:
        feats = expected @ layer.weight.T + layer.bias
        feats = (feats - feats.mean(1, keepdim=True)) / (feats.var(1, unbiased=False, keepdim=True) + 1e-5).sqrt()
        expected = feats.clamp(min=0)
    torch.testing.assert_close(module(draw(4, 5), roi), expected, rtol=1e-10, atol=1e-12)
    assert torch.equal(roi, before)  # its ReLUs work in place
