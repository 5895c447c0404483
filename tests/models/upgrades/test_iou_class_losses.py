"""Class losses that want the IoU: entry by entry, through the criterion, and of hostile values."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sparse_rcnn_ext.models.criterion import SparseRCNNCriterion
from sparse_rcnn_ext.models.sparse_roi_head import StageOutputs
from sparse_rcnn_ext.models.targets import MatchedPairs
from sparse_rcnn_ext.registry import MODELS
from tests.models.test_extreme_values import COSTS
from tests.reference.boxes import iou
from tests.reference.hostile_scenes import draw_hostile_scene
from tests.reference.iou_class_losses import Rule, entry, matchability_aware, position_supervised
from tests.reference.scenes import Scene, make_scene
from tests.reference.set_prediction import best_matching, cost_matrix

LOSSES = {'MatchabilityAwareLoss': matchability_aware, 'PositionSupervisedLoss': position_supervised}
BOTH = pytest.mark.parametrize(('name', 'rule'), LOSSES.items(), ids=['mal', 'position-supervised'])


def make_criterion(name: str, **loss) -> SparseRCNNCriterion:
    return MODELS.build(
        dict(
            type='sparse_rcnn_ext.SparseRCNNCriterion',
            assigner=dict(type='sparse_rcnn_ext.HungarianAssigner', match_costs=COSTS),
            loss_cls=dict(type=f'sparse_rcnn_ext.{name}', **loss),
            loss_bbox=dict(type='L1Loss', loss_weight=5.0),
            loss_iou=dict(type='GIoULoss', loss_weight=2.0),
        )
    )


@BOTH
@settings(max_examples=60)
@given(
    entries=st.lists(
        st.tuples(st.floats(-12, 12), st.one_of(st.none(), st.floats(1e-6, 1), st.just(1.0))), min_size=1, max_size=12
    ),
    gamma=st.sampled_from([None, 1.0, 1.5, 2.0, 3.5]),
)
def test_every_entry_equals_the_formula(name, rule, entries, gamma):
    """In loss and gradient, which is that of target and weight as numbers. Without a γ it is the paper's."""
    gammas = () if gamma is None else (gamma,)
    expected = [entry(rule, *one, *gammas) for one in entries]
    said = torch.tensor([[logit for logit, _ in entries]], dtype=torch.float64, requires_grad=True)
    ious = torch.tensor([[iou or 0.0 for _, iou in entries]], dtype=torch.float64, requires_grad=True)
    settings = {} if gamma is None else dict(gamma=gamma)
    found = MODELS.build(dict(type=f'sparse_rcnn_ext.{name}', loss_weight=3.0, **settings))(said, ious)
    assert found.shape == said.shape
    assert found[0].tolist() == pytest.approx([3 * one.loss for one in expected], rel=1e-9, abs=1e-11)
    found.sum().backward(inputs=[said])
    assert said.grad[0].tolist() == pytest.approx([3 * one.gradient for one in expected], rel=1e-9, abs=1e-11)


@BOTH
def test_iou_takes_no_gradient(name, rule):
    said, ious = torch.zeros(3, requires_grad=True), torch.tensor([0.0, 0.3, 1.0], requires_grad=True)
    MODELS.build(dict(type=f'sparse_rcnn_ext.{name}'))(said, ious).sum().backward()
    assert ious.grad is None and said.grad.ne(0).all()


def class_losses(scene: Scene, rule: Rule) -> list[float]:
    """Of each stage: every entry of every image in a loop, matched by the best of all permutations."""
    totals = []
    for stage in range(len(scene.outputs.logits)):
        total = 0.0
        for index, count in enumerate(scene.targets.counts):
            image = scene.image(stage, index)
            target_of = dict(best_matching(cost_matrix(image))[1]) if count else {}
            for proposal, row in enumerate(image.logits):
                target = target_of.get(proposal)
                for label, logit in enumerate(row):
                    matched = target is not None and image.labels[target] == label
                    overlap = iou(image.boxes[proposal], image.targets[target]) if matched else None
                    total += entry(rule, logit, overlap).loss
        num_matched = sum(min(count, len(image.boxes)) for count in scene.targets.counts)
        totals.append(total / max(num_matched, 1))
    return totals


@BOTH
@settings(max_examples=25)
@given(
    counts=st.lists(st.integers(0, 5), min_size=1, max_size=3).map(tuple),
    num_proposals=st.integers(1, 5),
    num_classes=st.integers(1, 4),
    seed=st.integers(0, 2**31),
)
def test_the_criterion_equals_the_definition(name, rule, counts, num_proposals, num_classes, seed):
    scene = make_scene(counts, 2, num_proposals, num_classes, seed)
    found = make_criterion(name)(*scene)
    # A matched box that misses its ground truth has an IoU of 1e-6.
    expected = class_losses(scene, rule)
    assert [found[f's{stage}.loss_cls'].item() for stage in range(2)] == pytest.approx(expected, rel=1e-5)


def watch(criterion: SparseRCNNCriterion) -> list[tuple[Tensor, Tensor]]:
    """What the class loss is given from now on: logits and IoUs."""
    seen = []
    criterion.loss_cls.register_forward_pre_hook(lambda module, inputs: seen.append(inputs))
    return seen


@BOTH
def test_targets_are_ious_of_the_matched_boxes_and_0_elsewhere(name, rule):
    scene = make_scene((2, 3), num_stages=2, num_proposals=4)
    criterion = make_criterion(name)
    seen = watch(criterion)
    image, target = torch.tensor([[0, 0, 1, 1, 1]] * 2), torch.tensor([[0, 1, 0, 1, 2]] * 2)
    proposal = torch.tensor([[3, 0, 1, 2, 0], [1, 2, 0, 1, 3]])
    criterion.pair_losses(scene.outputs, MatchedPairs(image, proposal, target), scene.targets)
    expected = torch.zeros_like(scene.outputs.logits)
    for stage in range(2):
        for index, row, truth in zip(image[stage], proposal[stage], target[stage]):
            one = scene.image(stage, index)
            overlap = iou(one.boxes[row], one.targets[truth])
            expected[stage, index, row, one.labels[truth]] = max(overlap, 1e-6)
    ((_, found),) = seen
    assert not found.requires_grad
    torch.testing.assert_close(found.view_as(expected), expected, rtol=1e-9, atol=1e-12)
    assert found.ne(0).sum() == 10


@BOTH
def test_class_loss_gives_boxes_no_gradient(name, rule):
    scene = make_scene((3, 2), num_stages=2)
    found = make_criterion(name)(*scene)
    losses = [value for key, value in found.items() if key.endswith('loss_cls')]
    said, boxes = torch.autograd.grad(sum(losses), scene.outputs, allow_unused=True)
    assert len(losses) == 2 and said.ne(0).all()
    assert boxes is None or not boxes.any()


@BOTH
def test_a_matched_box_that_misses_its_truth_still_counts_as_matched(name, rule):
    scene = make_scene((1,), num_stages=1, num_proposals=1, num_classes=1)
    outputs = StageOutputs(torch.full((1, 1, 1, 1), -3.0).double(), scene.outputs.boxes.detach() + 1e4)
    found = make_criterion(name)(outputs, scene.targets)['s0.loss_cls'].item()
    assert found == pytest.approx(entry(rule, -3.0, 0.0).loss, rel=1e-6)
    if name == 'MatchabilityAwareLoss':
        # It weighs 1, as one without a match does not.
        assert found > 50 * entry(rule, -3.0, None).loss


@BOTH
@pytest.mark.parametrize('bad', [float('nan'), float('inf')])
def test_what_is_not_finite_reaches_the_loss(name, rule, bad):
    scene = make_scene((1,), num_stages=2)
    said = scene.outputs.logits.detach().clone()
    said[1, 0, 2, 1] = bad
    found = make_criterion(name)(scene.outputs._replace(logits=said), scene.targets)
    assert found['s0.loss_cls'].isfinite() and not found['s1.loss_cls'].isfinite()


@BOTH
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16], ids=['fp16', 'bf16'])
@settings(max_examples=40)
@given(data=st.data())
def test_losses_and_gradients_are_finite(name, rule, dtype, data):
    scene = draw_hostile_scene(data, dtype)
    (said, boxes), (count,) = scene.outputs, scene.targets.counts
    criterion = make_criterion(name)
    seen = watch(criterion)
    with torch.autocast('cpu', dtype=dtype):
        losses = criterion(*scene)
    assert all(value.dtype == torch.float32 and value.isfinite() for value in losses.values()), losses
    ((_, ious),) = seen
    assert ious.dtype == torch.float32 and ious.min() >= 0 and ious.max() <= 1 + 1e-6
    assert ious.ne(0).sum() == 2 * min(count, said.shape[2])
    sum(value for key, value in losses.items() if 'loss' in key).backward()
    assert said.grad.dtype == dtype and said.grad.isfinite().all() and boxes.grad.isfinite().all()
