"""IoU losses by their four names: ours where mmdet's breaks, mmdet's otherwise."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.models.losses import CIoULoss as MMDetCIoULoss
from mmdet.registry import MODELS
from torchvision import ops

from tests.reference.boxes import ciou, diou, giou, iou

# As the recipe names them, and torchvision's function of the same name.
LOSSES = {
    'iou': (dict(type='IoULoss', mode='linear'), lambda a, b: 1 - ops.box_iou(a, b).diagonal()),
    'giou': (dict(type='GIoULoss'), ops.generalized_box_iou_loss),
    'diou': (dict(type='DIoULoss'), ops.distance_box_iou_loss),
    'ciou': (dict(type='sparse_rcnn_ext.CIoULoss'), ops.complete_box_iou_loss),
}
REFERENCES = {'iou': iou, 'giou': giou, 'diou': diou, 'ciou': ciou}


def random_boxes(seed: int, count: int = 200) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    corner, side = (100 * torch.rand(count, 2, generator=generator, dtype=torch.float64) for _ in range(2))
    return torch.cat([corner, corner + 1 + side], dim=1)


@pytest.mark.parametrize('name', LOSSES)
def test_value_and_gradient_equal_torchvision(name):
    config, reference = LOSSES[name]
    boxes, targets = random_boxes(0), random_boxes(1)
    loss = MODELS.build(dict(config, loss_weight=3.0))
    results = []
    for function in (lambda a, b: loss(a, b, reduction_override='none'), lambda a, b: 3 * reference(a, b)):
        leaf = boxes.clone().requires_grad_()
        value = function(leaf, targets)
        value.sum().backward()
        results.append((value.detach(), leaf.grad))
    # The libraries add 1e-6 or 1e-7 to divisors.
    torch.testing.assert_close(results[0], results[1], rtol=1e-5, atol=4e-6)


@settings(max_examples=25)
@given(seed=st.integers(0, 2**31), name=st.sampled_from(sorted(LOSSES)))
def test_value_equals_the_definition(seed, name):
    boxes, targets = random_boxes(seed, 5), random_boxes(seed + 1, 5)
    found = MODELS.build(LOSSES[name][0])(boxes, targets, reduction_override='none').tolist()
    pairs = zip(boxes.tolist(), targets.tolist(), strict=True)
    # mmdet's IoULoss keeps the IoU above 1e-6.
    assert found == pytest.approx([1 - REFERENCES[name](*pair) for pair in pairs], abs=2e-6)


ODD_PAIRS = {
    'perfect': ([10, 10, 30, 30], [10, 10, 30, 30]),
    'without height': ([10, 10, 30, 10], [10, 10, 30, 30]),
    'without width': ([10, 10, 10, 30], [10, 10, 30, 30]),
    'a point': ([10, 10, 10, 10], [10, 10, 30, 30]),
    'the same point': ([10, 10, 10, 10], [10, 10, 10, 10]),
    'target without height': ([10, 10, 30, 30], [10, 10, 30, 10]),
    'target a point': ([10, 10, 30, 30], [10, 10, 10, 10]),
    'tiny': ([10, 10, 10 + 1e-5, 10 + 1e-5], [10, 10, 30, 30]),
    'large': ([-1e9, -1e9, 1e9, 1e9], [10, 10, 30, 30]),
}


@pytest.mark.parametrize('name', LOSSES)
@pytest.mark.parametrize('pair', ODD_PAIRS)
def test_odd_boxes_give_finite_values_and_gradients(name, pair):
    box, target = (torch.tensor([side], dtype=torch.float32) for side in ODD_PAIRS[pair])
    box.requires_grad_()
    value = MODELS.build(LOSSES[name][0])(box, target, reduction_override='none')
    value.sum().backward()
    assert value.isfinite().all() and box.grad.isfinite().all()
    if pair == 'perfect':
        assert value.item() == 0 and not box.grad.any()


def test_why_mmdets_is_not_taken():
    """When this fails, mmdet's CIoULoss is sound again and ours can go."""
    box = torch.tensor([[10.0, 10, 30, 30]])
    assert MMDetCIoULoss()(box, box.clone()).isnan()


def test_reductions_and_weights_are_mmdets():
    boxes, targets = random_boxes(2, 6), random_boxes(3, 6)
    loss = MODELS.build(dict(type='sparse_rcnn_ext.CIoULoss', loss_weight=2.0))
    each = loss(boxes, targets, reduction_override='none')
    weight = torch.tensor([1.0, 0, 2, 0, 0, 1], dtype=torch.float64)
    assert each.shape == (6,)
    torch.testing.assert_close(loss(boxes, targets), each.mean())
    torch.testing.assert_close(loss(boxes, targets, reduction_override='sum'), each.sum())
    torch.testing.assert_close(loss(boxes, targets, weight, avg_factor=4), (each * weight).sum() / 4, rtol=0, atol=1e-6)
    assert loss(boxes[:0], targets[:0], reduction_override='none').shape == (0,)
