"""Losses equal their definition, term by term."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.models import criterion as criterion_module
from sparse_rcnn_ext.models.criterion import SparseRCNNCriterion
from sparse_rcnn_ext.registry import MODELS
from tests.reference.scenes import Scene, make_scene
from tests.reference.set_prediction import losses


def make_criterion(stage_loss_weights: list[float] | None = None) -> SparseRCNNCriterion:
    costs = dict(
        cls=dict(type='sparse_rcnn_ext.FocalLossCost', weight=2.0),
        bbox=dict(type='sparse_rcnn_ext.BBoxL1Cost', weight=5.0),
        iou=dict(type='sparse_rcnn_ext.IoUCost', iou_mode='giou', weight=2.0),
    )
    return MODELS.build(
        dict(
            type='sparse_rcnn_ext.SparseRCNNCriterion',
            assigner=dict(type='sparse_rcnn_ext.HungarianAssigner', match_costs=costs),
            loss_cls=dict(type='FocalLoss', use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=2.0),
            loss_bbox=dict(type='L1Loss', loss_weight=5.0),
            loss_iou=dict(type='GIoULoss', loss_weight=2.0),
            stage_loss_weights=stage_loss_weights,
        )
    )


def expected_losses(scene: Scene) -> dict[str, float]:
    num_stages, num_images = scene.outputs.logits.shape[:2]
    return {
        f's{stage}.{name}': value
        for stage in range(num_stages)
        for name, value in losses([scene.image(stage, index) for index in range(num_images)]).items()
    }


@settings(max_examples=40)
@given(
    counts=st.lists(st.integers(0, 5), min_size=1, max_size=3).map(tuple),
    num_stages=st.integers(1, 3),
    num_proposals=st.integers(1, 5),
    num_classes=st.integers(1, 4),
    seed=st.integers(0, 2**31),
)
def test_equals_the_definition(counts, num_stages, num_proposals, num_classes, seed):
    scene = make_scene(counts, num_stages, num_proposals, num_classes, seed)
    found = make_criterion()(*scene)
    expected = expected_losses(scene)
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert found[name].shape == ()
        # mmdet's GIoU guards its divisions with 1e-6 square pixels.
        assert found[name].item() == pytest.approx(value, rel=1e-9, abs=1e-11), name


def test_every_loss_has_a_gradient_to_every_stage():
    scene = make_scene((3, 2), num_stages=3)
    found = make_criterion()(*scene)
    sum(value for name, value in found.items() if name.startswith('s1.') and 'loss' in name).backward()
    for part in scene.outputs:
        assert [bool(grad.any()) for grad in part.grad] == [False, True, False]


def test_batch_without_boxes():
    scene = make_scene((0, 0), num_stages=2)
    found = make_criterion()(*scene)
    for stage in range(2):
        # All logits are pushed down, not divided by anything.
        expected = losses([scene.image(stage, index) for index in range(2)])['loss_cls']
        assert found[f's{stage}.loss_cls'].item() == pytest.approx(expected, rel=1e-10)
        assert expected > 0
        assert found[f's{stage}.loss_bbox'].item() == 0
        assert found[f's{stage}.loss_iou'].item() == 0
        assert found[f's{stage}.pos_acc'].item() == 0
        assert not found[f's{stage}.pos_acc'].requires_grad
    sum(value for name, value in found.items() if 'loss' in name).backward()
    assert scene.outputs.logits.grad.gt(0).all()
    assert scene.outputs.boxes.grad.eq(0).all()  # there, and zero


def test_losses_of_a_batch_are_those_of_its_images():
    scene = make_scene((3, 0, 5), num_proposals=6)
    criterion = make_criterion()
    whole = criterion(*scene)
    parts = []
    for image in range(3):
        one = slice(image, image + 1)
        outputs = type(scene.outputs)(*(part[:, one] for part in scene.outputs))
        targets = scene.targets
        targets = type(targets)(targets.boxes[one], targets.labels[one], targets.counts[one], targets.image_whwh[one])
        parts.append(criterion(outputs, targets))
    for name, value in whole.items():
        # Each part is divided by its own number of boxes, the empty one by 1.
        total = sum(part[name] * max(count, 1) for part, count in zip(parts, scene.targets.counts, strict=True))
        assert value.item() == pytest.approx(total.item() / 8, rel=1e-11), name


def test_stage_loss_weights_weigh_losses_alone():
    scene = make_scene((3, 2), num_stages=3)
    plain, weighted = make_criterion()(*scene), make_criterion([0.5, 1, 3])(*scene)
    for name, value in plain.items():
        factor = 1 if 'pos_acc' in name else [0.5, 1, 3][int(name[1])]
        assert weighted[name].item() == pytest.approx(value.item() * factor, rel=1e-12), name


@pytest.mark.parametrize('weights', [[1.0], [1.0] * 4])
def test_wrong_number_of_stage_loss_weights(weights):
    message = rf'criterion\.stage_loss_weights has {len(weights)} weights for 3 stages: give one for each'
    with pytest.raises(UserError, match=message):
        make_criterion(weights)(*make_scene((3, 2), num_stages=3))


@pytest.mark.parametrize(('average', 'divisor'), [(10.0, 10), (2.5, 2.5), (0.5, 1), (0.0, 1)])
def test_normaliser_is_the_average_over_processes_and_at_least_one(monkeypatch, average, divisor):
    scene = make_scene((3, 2))
    alone = make_criterion()(*scene)
    seen = []
    monkeypatch.setattr(
        criterion_module, 'reduce_mean', lambda mine: seen.append(mine) or torch.full_like(mine, average)
    )
    among_others = make_criterion()(*scene)
    assert [mine.item() for mine in seen] == [5]
    for name, value in alone.items():
        factor = 1 if 'pos_acc' in name else 5 / divisor
        assert among_others[name].item() == pytest.approx(value.item() * factor, rel=1e-12), name


def test_more_boxes_than_proposals():
    scene = make_scene((6, 2), num_proposals=4)
    found = make_criterion()(*scene)
    for name, value in expected_losses(scene).items():
        assert found[name].item() == pytest.approx(value, rel=1e-9), name


def test_half_precision_logits_are_matched_and_judged_in_float32():
    scene = make_scene((3, 2))
    outputs = scene.outputs._replace(logits=scene.outputs.logits.detach().bfloat16(), boxes=scene.outputs.boxes.float())
    targets = scene.targets._replace(boxes=scene.targets.boxes.float(), image_whwh=scene.targets.image_whwh.float())
    criterion = make_criterion()
    seen = []
    for name, cost in criterion.assigner.match_costs.items():

        def watched(*args, cost=cost):
            # Whatever a cost calls, autocast must not bring half precision back.
            assert not torch.is_autocast_enabled('cpu')
            seen.append(cost(*args))
            return seen[-1]

        criterion.assigner.match_costs[name] = watched
    with torch.autocast('cpu', dtype=torch.bfloat16):
        found = criterion(outputs, targets)
    assert [cost.dtype for cost in seen] == [torch.float32] * 3
    assert all(value.dtype == torch.float32 for value in found.values())
    # The logits' own rounding is all there is.
    rounded = scene._replace(outputs=scene.outputs._replace(logits=outputs.logits.double()))
    for name, value in expected_losses(rounded).items():
        assert found[name].item() == pytest.approx(value, rel=1e-4), name


def test_a_label_beyond_the_classes_fails():
    scene = make_scene((2,), num_classes=3)
    scene.targets.labels[0, 1] = 3
    with pytest.raises((IndexError, RuntimeError, ValueError)):
        make_criterion()(*scene)
