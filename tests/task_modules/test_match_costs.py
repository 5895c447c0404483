"""Every cost equals its definition, pair by pair."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision import ops

from sparse_rcnn_ext.models.targets import Targets
from sparse_rcnn_ext.task_modules.match_costs import BBoxL1Cost, FocalLossCost, IoUCost
from tests.reference.boxes import ciou, diou, giou, iou, l1
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


@settings(max_examples=25)
@given(scene=scenes, alpha=st.floats(0.1, 0.9), gamma=st.sampled_from([0.0, 1.0, 2.0, 3.5]))
def test_focal_cost(scene, alpha, gamma):
    def pair_cost(image: Image, proposal: int, target: int) -> float:
        logit = image.logits[proposal][image.labels[target]]
        return 1.5 * (focal(logit, True, alpha, gamma) - focal(logit, False, alpha, gamma))

    assert_equals(FocalLossCost(weight=1.5, alpha=alpha, gamma=gamma), scene, pair_cost)


@settings(max_examples=25)
@given(scene=scenes)
def test_l1_cost(scene):
    def pair_cost(image: Image, proposal: int, target: int) -> float:
        return 1.5 * l1(image.boxes[proposal], image.targets[target], image.width, image.height)

    assert_equals(BBoxL1Cost(weight=1.5), scene, pair_cost)


@settings(max_examples=25)
@given(scene=scenes, mode=st.sampled_from([('iou', iou), ('giou', giou), ('diou', diou), ('ciou', ciou)]))
def test_iou_cost(scene, mode):
    name, overlap = mode

    def pair_cost(image: Image, proposal: int, target: int) -> float:
        return -1.5 * overlap(image.boxes[proposal], image.targets[target])

    assert_equals(IoUCost(iou_mode=name, weight=1.5), scene, pair_cost)


@pytest.mark.parametrize(
    ('mode', 'reference'),
    [
        ('iou', ops.box_iou),
        ('giou', ops.generalized_box_iou),
        ('diou', ops.distance_box_iou),
        ('ciou', ops.complete_box_iou),
    ],
)
def test_iou_cost_equals_torchvision(mode, reference):
    scene = make_scene((3, 7), num_stages=2, num_proposals=40, seed=3)
    found = IoUCost(iou_mode=mode, weight=1)(*scene.outputs, scene.targets)
    for stage in range(2):
        for image, count in enumerate(scene.targets.counts):
            expected = -reference(scene.outputs.boxes[stage, image], scene.targets.boxes[image, :count])
            # torchvision adds 1e-7 to the divisors of both penalties.
            torch.testing.assert_close(found[stage, image, :, :count], expected, rtol=0, atol=1e-6)


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


ODD_BOXES = {
    'without area': [7, 7, 7, 7],
    'without height': [10, 7, 30, 7],
    'without width': [10, 7, 10, 30],
    'upside down': [30, 30, 10, 10],
    'left to right': [30, 10, 10, 30],
    'tiny': [10, 10, 10 + 1e-5, 10 + 1e-5],
    'huge': [-1e25, -1e25, 1e25, 1e25],
    'huge and thin': [-1e25, 7, 1e25, 7 + 1e-5],
    'far away': [1e25, 1e25, 1.1e25, 1.1e25],
    'perfect': [10, 10, 30, 30],
}


@pytest.mark.parametrize('mode', ['iou', 'giou', 'diou', 'ciou'])
@pytest.mark.parametrize('name', ODD_BOXES)
def test_iou_of_odd_boxes_is_finite(mode, name):
    boxes = torch.tensor(ODD_BOXES[name], dtype=torch.float32).view(1, 1, 1, 4)
    box_list = [ODD_BOXES[other] for other in ('perfect', 'without area', 'without height', 'without width')]
    targets = Targets(
        boxes=torch.tensor([box_list], dtype=torch.float32),
        labels=torch.zeros(1, 4, dtype=torch.long),
        counts=(4,),
        image_whwh=torch.full((1, 4), 40.0),
    )
    found = IoUCost(mode, weight=1)(torch.zeros(1, 1, 1, 1), boxes, targets)
    assert found.shape == (1, 1, 1, 4)
    assert found.isfinite().all()
    if name not in ('upside down', 'left to right'):
        # At the worst 1 for the enclosing box, or 1 for the distance of the centres and 1 for the aspect.
        assert found.min() >= -1 - 1e-6 and found.max() <= 2 + 1e-6
    if name == 'perfect':
        assert found[0, 0, 0, 0] == -1


@pytest.mark.parametrize('mode', ['iou', 'giou', 'diou', 'ciou'])
def test_iou_of_no_box_and_of_nan(mode):
    scene = make_scene((0, 0), num_proposals=3)
    assert IoUCost(mode)(*scene.outputs, scene.targets).shape == (2, 2, 3, 0)
    scene = make_scene((2,), num_proposals=3)
    lost = torch.full_like(scene.outputs.boxes, float('nan'))
    # So that the assigner sees a diverged training.
    assert IoUCost(mode)(scene.outputs.logits, lost, scene.targets).isnan().all()


def test_wrong_iou_mode():
    with pytest.raises(ValueError, match=r"IoUCost: iou_mode is 'log'; set it to 'iou', 'giou', 'diou' or 'ciou'\."):
        IoUCost(iou_mode='log')
