"""Every cost equals its definition, pair by pair."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_rcnn_ext.models.targets import Targets
from sparse_rcnn_ext.task_modules.match_costs import BBoxL1Cost, FocalLossCost, IoUCost
from tests.reference.boxes import giou, iou, l1
from tests.reference.scenes import make_scene
from tests.reference.set_prediction import Image, focal

scenes = st.builds(
    make_scene,
    counts=st.lists(st.integers(0, 4), min_size=1, max_size=3).map(tuple),
    num_stages=st.integers(1, 3),
    num_proposals=st.integers(1, 5),
    num_classes=st.integers(1, 4),
    seed=st.integers(0, 2**31),
)


def assert_equals(cost, scene, pair_cost, tolerance: float = 1e-11) -> None:
    """Compare each real pair; columns of padding have no meaning."""
    found = cost(*scene.outputs, scene.targets)
    counts = scene.targets.counts
    num_stages, num_images, num_proposals = scene.outputs.logits.shape[:3]
    assert found.shape == (num_stages, num_images, num_proposals, max(counts))
    for stage in range(num_stages):
        for index, count in enumerate(counts):
            image = scene.image(stage, index)
            for proposal in range(num_proposals):
                for target in range(count):
                    expected = pair_cost(image, proposal, target)
                    assert found[stage, index, proposal, target].item() == pytest.approx(expected, abs=tolerance)


@settings(deadline=None, max_examples=25)
@given(scene=scenes, alpha=st.floats(0.1, 0.9), gamma=st.sampled_from([0.0, 1.0, 2.0, 3.5]))
def test_focal_cost(scene, alpha, gamma):
    def pair_cost(image: Image, proposal: int, target: int) -> float:
        logit = image.logits[proposal][image.labels[target]]
        return 1.5 * (focal(logit, True, alpha, gamma) - focal(logit, False, alpha, gamma))

    assert_equals(FocalLossCost(weight=1.5, alpha=alpha, gamma=gamma), scene, pair_cost)


@settings(deadline=None, max_examples=25)
@given(scene=scenes)
def test_l1_cost(scene):
    def pair_cost(image: Image, proposal: int, target: int) -> float:
        return 1.5 * l1(image.boxes[proposal], image.targets[target], image.width, image.height)

    assert_equals(BBoxL1Cost(weight=1.5), scene, pair_cost)


@settings(deadline=None, max_examples=25)
@given(scene=scenes, mode=st.sampled_from([('iou', iou), ('giou', giou)]))
def test_iou_cost(scene, mode):
    name, overlap = mode

    def pair_cost(image: Image, proposal: int, target: int) -> float:
        return -1.5 * overlap(image.boxes[proposal], image.targets[target])

    assert_equals(IoUCost(iou_mode=name, weight=1.5), scene, pair_cost)


def test_known_values():
    # Two squares of side 10, half over each other: intersection 50, union 150, enclosing 150; and far apart.
    boxes = torch.tensor([[[[0.0, 0, 10, 10], [30, 0, 40, 10]]]], dtype=torch.float64)
    targets = Targets(
        boxes=torch.tensor([[[5.0, 0, 15, 10]]], dtype=torch.float64),
        labels=torch.tensor([[1]]),
        counts=(1,),
        image_whwh=torch.tensor([[100.0, 50, 100, 50]], dtype=torch.float64),
    )
    logits = torch.tensor([[[[9.0, 0.0], [9.0, 0.0]]]], dtype=torch.float64)
    found = [
        cost(logits, boxes, targets)[0, 0, :, 0]
        for cost in (
            FocalLossCost(weight=1),
            BBoxL1Cost(weight=1),
            IoUCost('iou', weight=1),
            IoUCost('giou', weight=1),
        )
    ]
    # At probability a half: (0.25 − 0.75) · 0.25 · log 2. Apart: enclosing 35 × 10 for a union of 200.
    expected = [[-0.08664339756999316] * 2, [0.1, 0.5], [-1 / 3, 0], [-1 / 3, 150 / 350]]
    torch.testing.assert_close(torch.stack(found), torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_focal_cost_is_finite_where_a_probability_underflows(dtype):
    logits = torch.tensor([-1e4, -200, 200, 1e4], dtype=dtype).view(1, 1, 4, 1)
    targets = make_scene((1,), num_classes=1).targets
    found = FocalLossCost(weight=1)(logits, torch.zeros(1, 1, 4, 4), targets).flatten()
    # Sure and wrong costs alpha times the logit; sure and right saves the rest of it.
    torch.testing.assert_close(found, torch.tensor([2500, 50, -150, -7500], dtype=dtype))


def test_iou_of_boxes_without_area_is_finite():
    scene = make_scene((2,), num_proposals=3)
    flat = torch.zeros_like(scene.outputs.boxes) + 7
    padded = scene.targets._replace(boxes=torch.full_like(scene.targets.boxes, 7))
    for mode in ('iou', 'giou'):
        assert IoUCost(mode)(scene.outputs.logits, flat, padded).isfinite().all()


def test_wrong_iou_mode():
    with pytest.raises(ValueError, match=r"IoUCost: iou_mode is 'diou'; set it to 'iou' or 'giou'\."):
        IoUCost(iou_mode='diou')
