"""The class cost that looks at the box: pair by pair, in matching, and of hostile values."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_rcnn_ext.models.targets import Targets
from sparse_rcnn_ext.registry import TASK_UTILS
from sparse_rcnn_ext.task_modules.match_costs import FocalLossCost, PositionModulatedCost
from tests.models.test_extreme_values import COSTS
from tests.reference.boxes import giou
from tests.reference.hostile_scenes import draw_hostile_scene
from tests.reference.set_prediction import Image
from tests.task_modules.test_match_costs import assert_equals, scenes

COST = dict(type='sparse_rcnn_ext.PositionModulatedCost', weight=2.0)


@settings(max_examples=40)
@given(
    scene=scenes,
    alpha=st.floats(0.1, 0.9),
    gamma=st.sampled_from([0.0, 1.0, 2.0, 3.5]),
    beta=st.sampled_from([0.25, 0.5, 1.0, 2.0]),
    eps=st.sampled_from([0.0, 1e-8, 1e-2]),
)
def test_equals_the_focal_cost_of_the_modulated_score(scene, alpha, gamma, beta, eps):
    def pair_cost(image: Image, proposal: int, target: int) -> float:
        prob = 1 / (1 + math.exp(-image.logits[proposal][image.labels[target]]))
        prob *= ((giou(image.boxes[proposal], image.targets[target]) + 1) / 2) ** beta
        foreground = -alpha * (1 - prob) ** gamma * math.log(prob + eps)
        background = -(1 - alpha) * prob**gamma * math.log(1 - prob + eps)
        return 1.5 * (foreground - background)

    assert_equals(PositionModulatedCost(1.5, alpha, gamma, beta, eps), scene, pair_cost)


@settings(max_examples=20)
@given(scene=scenes)
def test_defaults_are_the_papers(scene):
    """Weight 2 and the focal loss of Deformable DETR; the square root of the GIoU."""
    found = PositionModulatedCost()(*scene.outputs, scene.targets)
    expected = PositionModulatedCost(weight=2, alpha=0.25, gamma=2, beta=0.5, eps=1e-8)(*scene.outputs, scene.targets)
    assert torch.equal(found, expected)
    without_place = PositionModulatedCost(beta=0.0)(*scene.outputs, scene.targets)
    torch.testing.assert_close(without_place, FocalLossCost()(*scene.outputs, scene.targets), rtol=0, atol=1e-6)


def one_truth(boxes: list[list[float]], logits: list[float], dtype: torch.dtype = torch.float64) -> tuple:
    """Logits and boxes of proposals of one class, and a ground truth [10, 10, 30, 30]."""
    truth = torch.tensor([[[10.0, 10, 30, 30]]], dtype=dtype)
    targets = Targets(truth, torch.tensor([[0]]), (1,), torch.full((1, 4), 40.0, dtype=dtype))
    return torch.tensor(logits, dtype=dtype).view(1, 1, -1, 1), torch.tensor(boxes, dtype=dtype)[None, None], targets


def test_known_values():
    """A perfect box keeps its score of a half; one of GIoU −1/2 (IoU 0, union 800 of 1600) has √(1/4) of it."""
    found = PositionModulatedCost(weight=1)(*one_truth([[10.0, 10, 30, 30], [30, 30, 50, 50]], [0.0, 0.0]))
    quarter = 0.25 * 0.75**2 * math.log(4) - 0.75 * 0.25**2 * math.log(4 / 3)
    assert found.flatten().tolist() == pytest.approx([-0.5 * 0.25 * math.log(2), quarter], abs=1e-7)


@settings(max_examples=40)
@given(
    logit=st.floats(-6, 6),
    offsets=st.tuples(*[st.floats(-60, 60)] * 2),
    order=st.permutations([0, 1]),
)
def test_matching_prefers_the_better_placed_of_two_equal_scores(logit, offsets, order):
    boxes = [[10.0 + offset, 10, 30 + offset, 30] for offset in offsets]
    overlaps = [giou(box, (10, 10, 30, 30)) for box in boxes]
    if abs(overlaps[0] - overlaps[1]) < 1e-3:
        return
    assigner = TASK_UTILS.build(dict(type='sparse_rcnn_ext.HungarianAssigner', match_costs=dict(cls=COST)))
    pairs = assigner.assign(*one_truth([boxes[index] for index in order], [logit] * 2))
    assert order[pairs.proposal.item()] == overlaps.index(max(overlaps))


def test_a_misplaced_box_cannot_win_by_its_score():
    """As it does by the plain focal cost."""
    scene = one_truth([[200.0, 200, 220, 220], [11, 10, 31, 30]], [3.0, 0.0])
    for cost, best in ((dict(type='sparse_rcnn_ext.FocalLossCost'), 0), (COST, 1)):
        assigner = TASK_UTILS.build(dict(type='sparse_rcnn_ext.HungarianAssigner', match_costs=dict(cls=cost)))
        assert assigner.assign(*scene).proposal.item() == best


ODD_BOXES = {
    'without area': [7.0, 7, 7, 7],
    'upside down': [40.0, 40, 5, 5],
    'left to right': [30.0, 10, 10, 30],
    'within, upside down': [20.0001, 20.0001, 20, 20],
    'huge': [-1e25, -1e25, 1e25, 1e25],
    'far away': [1e25, 1e25, 1.1e25, 1.1e25],
    'perfect': [10.0, 10, 30, 30],
}


@pytest.mark.parametrize('name', ODD_BOXES)
def test_odd_boxes_and_sure_scores_are_finite(name):
    said = [-1e4, -100.0, 0.0, 17.0, 100.0, 1e4]
    found = PositionModulatedCost()(*one_truth([ODD_BOXES[name]] * len(said), said, torch.float32)).flatten()
    assert found.isfinite().all()
    # A surer score never costs more.
    assert found.diff().max() <= 0


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16], ids=['fp16', 'bf16'])
@settings(max_examples=60)
@given(data=st.data())
def test_costs_of_half_precision_are_finite_and_matched_one_to_one(dtype, data):
    (said, boxes), targets = draw_hostile_scene(data, dtype)
    said, num_proposals, (count,) = said.float(), said.shape[2], targets.counts
    found = PositionModulatedCost()(said, boxes, targets)
    assert found.shape == (2, 1, num_proposals, count)
    assert found.dtype == torch.float32 and found.isfinite().all()
    assigner = TASK_UTILS.build(dict(type='sparse_rcnn_ext.HungarianAssigner', match_costs=dict(COSTS, cls=COST)))
    for proposals in assigner.assign(said, boxes, targets).proposal.tolist():
        assert len(proposals) == len(set(proposals)) == min(num_proposals, count)


@settings(max_examples=10)
@given(scene=scenes.filter(lambda scene: scene.targets.counts[0] > 0))
def test_nan_stays_nan(scene):
    """So that the assigner sees a diverged training."""
    boxes = scene.outputs.boxes.detach().clone()
    boxes[0, 0, 0] = float('nan')
    found = PositionModulatedCost()(scene.outputs.logits, boxes, scene.targets)
    assert found[0, 0, 0].isnan().all() and found[0, 0, 1:].isfinite().all()
