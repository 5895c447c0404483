"""Detections equal the sorted list of all (proposal, class) pairs."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_rcnn_ext.models.dii_head import DIIHead
from sparse_rcnn_ext.models.post_process import top_detections
from tests.reference.set_prediction import detections


@settings(max_examples=40)
@given(
    batch=st.integers(1, 3),
    num_proposals=st.integers(1, 9),
    num_classes=st.integers(1, 5),
    limit=st.integers(1, 60),
    seed=st.integers(0, 2**31),
)
def test_equals_the_sorted_list(batch, num_proposals, num_classes, limit, seed):
    torch.manual_seed(seed)
    logits = torch.randn(batch, num_proposals, num_classes, dtype=torch.float64)
    boxes = torch.rand(batch, num_proposals, 4, dtype=torch.float64) * 100
    found = top_detections(DIIHead.scores(logits), boxes, limit)
    assert all(part.shape[1] == min(limit, num_proposals * num_classes) for part in found)
    for image in range(batch):
        expected = detections(logits[image].tolist(), [tuple(box) for box in boxes[image].tolist()], limit)
        found_boxes, scores, labels = (part[image] for part in found)
        assert labels.tolist() == [label for _, label, _ in expected]
        assert [tuple(box) for box in found_boxes.tolist()] == [box for _, _, box in expected]
        torch.testing.assert_close(
            scores, torch.tensor([score for score, _, _ in expected], dtype=torch.float64), rtol=1e-12, atol=0
        )


def test_a_proposal_may_give_several_detections():
    logits = torch.tensor([[[5.0, 4.0, -9.0], [-9.0, -9.0, -8.0]]])
    boxes = torch.tensor([[[0.0, 0, 1, 1], [2, 2, 3, 3]]])
    found_boxes, scores, labels = top_detections(DIIHead.scores(logits), boxes, 2)
    assert labels.tolist() == [[0, 1]]
    assert torch.equal(found_boxes, boxes[:, [0, 0]])
    assert scores[0, 0] > scores[0, 1] > 0.9


@pytest.mark.parametrize('limit', [1, 3, 30])
def test_a_proposal_gives_its_best_class_only(limit):
    torch.manual_seed(0)
    scores, boxes = torch.rand(2, 6, 4), torch.rand(2, 6, 4)
    found_boxes, found_scores, found_labels = top_detections(scores, boxes, limit, one_label=True)
    assert found_scores.shape == found_labels.shape == (2, min(limit, 6)) and found_boxes.shape == (2, min(limit, 6), 4)
    for image in range(2):
        best = sorted(((max(row), row.index(max(row)), box) for row, box in rows_of(scores[image], boxes[image])))[::-1]
        found = zip(found_scores[image].tolist(), found_labels[image].tolist(), found_boxes[image].tolist())
        assert list(found) == best[:limit]


def rows_of(*tensors):
    return zip(*(tensor.tolist() for tensor in tensors), strict=True)
