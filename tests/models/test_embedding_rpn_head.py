"""The learned proposals."""

import torch

from sparse_rcnn_ext.models.embedding_rpn_head import EmbeddingRPNHead


def whwh(*sizes: tuple[int, int]) -> torch.Tensor:
    return torch.tensor([(*size, *size) for size in sizes], dtype=torch.float64)


def test_fresh_proposals_cover_each_whole_image():
    head = EmbeddingRPNHead(num_proposals=7, proposal_feature_channel=5).double()
    torch.nn.init.normal_(head.init_proposal_bboxes.weight)
    features = head.init_proposal_features.weight.clone()
    head.init_weights()
    boxes, feats = head(whwh((320, 200), (64, 480)))
    assert boxes.shape == (2, 7, 4)
    assert boxes[0].tolist() == [[0, 0, 320, 200]] * 7
    assert boxes[1].tolist() == [[0, 0, 64, 480]] * 7
    # Features tell the proposals apart; equal ones would never learn to differ.
    assert torch.equal(feats, features.expand(2, 7, 5))
    assert features.std() > 0.5


def test_boxes_are_kept_as_relative_cxcywh():
    head = EmbeddingRPNHead(num_proposals=1, proposal_feature_channel=4).double()
    with torch.no_grad():
        head.init_proposal_bboxes.weight.copy_(torch.tensor([[0.5, 0.25, 0.2, 0.1]]))
    boxes, _ = head(whwh((100, 200)))
    torch.testing.assert_close(boxes, torch.tensor([[[40.0, 40, 60, 60]]], dtype=torch.float64), rtol=0, atol=1e-5)


def test_proposals_learn():
    head = EmbeddingRPNHead(num_proposals=3, proposal_feature_channel=4).double()
    boxes, feats = head(whwh((100, 200), (50, 60)))
    (boxes.sum() + feats.sum()).backward()
    # d(x1 + x2)/d(cx) is twice the width, summed over the images; w and h cancel.
    expected = torch.tensor([[300.0, 520, 0, 0]] * 3, dtype=torch.float64)
    torch.testing.assert_close(head.init_proposal_bboxes.weight.grad, expected)
    assert head.init_proposal_features.weight.grad.eq(2).all()
