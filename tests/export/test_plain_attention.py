"""Attention of exported graphs beside torch's."""

import pytest
import torch
from torch import nn

from sparse_rcnn_ext.export.graph import DetectionGraph
from sparse_rcnn_ext.export.plain_layers import PlainAttention


@pytest.mark.parametrize('same', ['all', 'query and key', 'key and value', 'none'])
@torch.no_grad()
def test_equals_torch(same):
    torch.manual_seed(0)
    original = nn.MultiheadAttention(24, 4, batch_first=True)
    nn.init.normal_(original.in_proj_bias)
    query, key, value = (torch.randn(2, 7, 24) for _ in range(3))
    inputs = {
        'all': (query, query, query),
        'query and key': (query, query, value),
        'key and value': (query[:, :3], key, key),
        'none': (query, key, value),
    }[same]
    weight = original.in_proj_weight.clone()
    found, nothing = PlainAttention(original)(*inputs, need_weights=False)
    torch.testing.assert_close(found, original(*inputs, need_weights=False)[0], rtol=1e-5, atol=1e-6)
    assert nothing is None and torch.equal(original.in_proj_weight, weight)


def test_inputs_that_are_the_same_share_a_product(monkeypatch):
    attention = PlainAttention(nn.MultiheadAttention(8, 2, batch_first=True))
    rows = []
    linear = nn.functional.linear
    monkeypatch.setattr(
        'sparse_rcnn_ext.export.plain_layers.linear', lambda *given: rows.append(len(given[1])) or linear(*given)
    )
    first, other = torch.randn(1, 5, 8), torch.randn(1, 5, 8)
    attention(first, first, first)
    attention(first, first, other)
    attention(first, other, other)
    assert rows == [24, 16, 8, 8, 16]


def test_a_detector_keeps_its_own(tiny_detector):
    graph = DetectionGraph(tiny_detector, 32)
    kinds = [
        {type(stage.attention.attn) for stage in detector.roi_head.bbox_head}
        for detector in (graph.detector, tiny_detector)
    ]
    assert kinds == [{PlainAttention}, {nn.MultiheadAttention}]
