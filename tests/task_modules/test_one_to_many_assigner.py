"""Several proposals for each ground truth: how many, which, what is learned from them, and at the edges."""

from collections import Counter
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_rcnn_ext.models.criterion import SparseRCNNCriterion
from sparse_rcnn_ext.models.sparse_roi_head import StageOutputs
from sparse_rcnn_ext.models.targets import Targets
from sparse_rcnn_ext.registry import TASK_UTILS
from sparse_rcnn_ext.task_modules import HungarianAssigner, OneToManyAssigner
from tests.models.test_criterion import make_criterion as make_plain_criterion
from tests.models.test_extreme_values import COSTS
from tests.reference.hostile_scenes import draw_hostile_scene
from tests.reference.one_to_many import crowd, crowds, matches_of, repeat, wanted
from tests.reference.scenes import Scene, make_scene
from tests.reference.set_prediction import best_matching, cost_matrix, losses

ORDERS = ['falling', 'rising', 'constant']


def make_assigner(**settings) -> OneToManyAssigner:
    return TASK_UTILS.build(dict(type='sparse_rcnn_ext.OneToManyAssigner', match_costs=COSTS, **settings))


def make_criterion(**settings) -> SparseRCNNCriterion:
    criterion = make_plain_criterion()
    criterion.assigner = make_assigner(**settings)
    return criterion


def numbers_at(scene: Scene, stage: int, index: int, *settings) -> list[int]:
    return wanted(scene.image(stage, index), stage, len(scene.outputs.logits) - 1 - stage, *settings)


def small(test: Callable) -> Callable:
    """Few enough proposals for the best of all ways."""
    return settings(max_examples=20)(given(scene=crowds(3, 1, 6), order=st.sampled_from(ORDERS))(test))


@pytest.mark.parametrize(
    ('settings', 'expected'),
    [
        (dict(), [6, 5, 5, 4, 1]),
        (dict(order='rising'), [4, 4, 5, 5, 1]),
        (dict(order='constant'), [6, 6, 6, 6, 1]),
        (dict(top_candidates=4), [4, 3, 3, 2, 1]),
        (dict(step=4.0), [6, 2, 1, 1, 1]),
        (dict(order='rising', step=2.0), [1, 1, 2, 4, 1]),
    ],
)
def test_number_of_six_perfect_proposals(settings, expected):
    """Of twelve; the others are elsewhere."""
    scene = crowd((1,), num_stages=5, num_proposals=12, noise=0.0)
    scene.outputs.boxes.detach()[:, :, 6:] += 1e4
    found = [stage[0] for stage in matches_of(make_assigner(**settings), scene)]
    assert [len(pairs) for pairs in found] == expected
    assert all(proposal < 6 for pairs in found for proposal, _ in pairs)


@pytest.mark.parametrize(('share', 'number'), [(0.1, 1), (0.3, 2), (0.62, 4), (0.9, 7), (1.0, 8)])
def test_overlaps_are_added_up_and_rounded_down(share, number):
    """Ten proposals that have each the same share of the ground truth: eight count, 8 · 0.62 = 4.96."""
    scene = crowd((1,), num_stages=2, num_proposals=10, noise=0.0)
    x1, _, x2, _ = scene.outputs.boxes.detach().unbind(-1)
    scene.outputs.boxes.detach()[..., 2] = x1 + share * (x2 - x1)
    assert [len(stage[0]) for stage in matches_of(make_assigner(), scene)] == [number, 1]


@settings(max_examples=40)
@given(
    scene=crowds(6, 6, 40),
    order=st.sampled_from(ORDERS),
    top=st.sampled_from([1, 3, 8, 50]),
    step=st.sampled_from([0.5, 1.0, 1.7]),
)
def test_each_ground_truth_has_its_number_of_proposals_and_none_is_used_twice(scene, order, top, step):
    for stage, images in enumerate(matches_of(make_assigner(top_candidates=top, order=order, step=step), scene)):
        for index, pairs in enumerate(images):
            numbers = Counter(target for _, target in pairs)
            expected = numbers_at(scene, stage, index, order, top, step)
            assert [numbers[target] for target in range(len(expected))] == expected
            assert len({proposal for proposal, _ in pairs}) == len(pairs) == sum(expected)


@small
def test_equals_the_best_of_all_ways(scene, order):
    for stage, images in enumerate(matches_of(make_assigner(order=order), scene)):
        for index, pairs in enumerate(images):
            image, numbers = scene.image(stage, index), numbers_at(scene, stage, index, order)
            cost = cost_matrix(image)
            total, _ = best_matching(cost_matrix(repeat(image, numbers))) if numbers else (0, [])
            assert sum(cost[proposal][target] for proposal, target in pairs) == pytest.approx(total, abs=1e-9)


@small
def test_the_last_stage_is_matched_as_ever(scene, order):
    assert matches_of(make_assigner(order=order), scene)[-1] == matches_of(HungarianAssigner(COSTS), scene)[-1]


@small
def test_a_batch_is_matched_image_by_image(scene, order):
    assigner = make_assigner(order=order)
    whole = matches_of(assigner, scene)
    for index in range(len(scene.targets.counts)):
        one = slice(index, index + 1)
        targets = Targets(*(part[one] for part in scene.targets))
        alone = Scene(StageOutputs(*(part[:, one] for part in scene.outputs)), targets)
        assert [stage[index] for stage in whole] == [stage[0] for stage in matches_of(assigner, alone)]


def test_a_box_has_more_than_its_share_where_the_others_need_less():
    """Six proposals at the first of two boxes, and one at the second; eight in all."""
    scene = crowd((2,), num_stages=2, num_proposals=8, noise=0.0)
    truth = scene.targets.boxes[0]
    truth[1] = truth[0] + 1e4
    boxes = scene.outputs.boxes.detach()
    boxes[:, 0, :6], boxes[:, 0, 6], boxes[:, 0, 7] = truth[0], truth[1], truth[1] + 1e4
    assert Counter(target for _, target in matches_of(make_assigner(), scene)[0][0]) == {0: 6, 1: 1}


@pytest.mark.parametrize('count', [2, 3, 5, 6, 9])
def test_crowded_images(count):
    """Every box would have all five proposals: they share them, and with too few proposals some have none."""
    scene = crowd((count, 1), num_stages=2, num_proposals=5, noise=0.0)
    for boxes in (scene.targets.boxes[0], *scene.outputs.boxes.detach()[:, 0]):
        boxes.copy_(torch.tensor([10.0, 10, 30, 30]).expand_as(boxes))
    early, last = (images[0] for images in matches_of(make_assigner(), scene))
    expected = {2: [2, 3], 3: [1, 2, 2]}.get(count, [1] * 5)
    assert sorted(Counter(target for _, target in early).values()) == expected
    assert len({proposal for proposal, _ in early}) == len(early)
    assert len(last) == len({target for _, target in last}) == min(count, 5)


@pytest.mark.parametrize('counts', [(0,), (0, 0)])
def test_batch_without_boxes(counts):
    scene = make_scene(counts, num_stages=3)
    pairs = make_assigner().assign(*scene.outputs, scene.targets)
    assert [(tuple(part.shape), part.dtype) for part in pairs[:3]] == [((3, 0), torch.long)] * 3
    found = make_criterion()(*scene)
    assert all(found[f's{stage}.{name}'] == 0 for stage in range(3) for name in ('loss_bbox', 'loss_iou', 'pos_acc'))


def test_an_image_without_boxes_beside_one_with_them():
    scene = crowd((0, 1, 0), num_stages=2)
    assert [[len(pairs) for pairs in images] for images in matches_of(make_assigner(), scene)] == [[0, 5, 0], [0, 1, 0]]


@small
def test_losses_of_a_stage_are_divided_by_its_own_number_of_pairs(scene, order):
    """They are those of one-to-one matching where each ground truth stands as often as it has proposals."""
    found = make_criterion(order=order)(*scene)
    for stage in range(len(scene.outputs.logits)):
        images = [scene.image(stage, index) for index in range(len(scene.targets.counts))]
        images = [repeat(image, numbers_at(scene, stage, index, order)) for index, image in enumerate(images)]
        for name, value in losses(images).items():
            assert found[f's{stage}.{name}'].item() == pytest.approx(value, rel=1e-9, abs=1e-11), name


@small
def test_boxes_learn_where_they_are_matched_alone(scene, order):
    found = make_criterion(order=order)(*scene)
    sum(value for name, value in found.items() if 'loss' in name).backward()
    matched = torch.zeros(scene.outputs.boxes.shape[:3], dtype=torch.bool)
    for stage, images in enumerate(matches_of(make_assigner(order=order), scene)):
        for index, pairs in enumerate(images):
            matched[stage, index, [proposal for proposal, _ in pairs]] = True
    assert torch.equal(scene.outputs.boxes.grad.ne(0).any(-1), matched)
    assert scene.outputs.logits.grad.ne(0).all()


@pytest.mark.parametrize('part', ['logits', 'boxes'])
@pytest.mark.parametrize('bad', [float('nan'), float('inf')])
def test_values_that_are_not_finite_hurt_their_own_image_alone(part, bad):
    scene = crowd((2, 3), num_proposals=9)
    values = getattr(scene.outputs, part).detach().clone()
    values[0, 1, 4], values[2, 1] = bad, bad
    expected = matches_of(make_assigner(), scene)
    found = matches_of(make_assigner(), scene._replace(outputs=scene.outputs._replace(**{part: values})))
    assert [images[0] for images in found] == [images[0] for images in expected] and found[1] == expected[1]
    for images in found:
        assert {target for _, target in images[1]} == {0, 1, 2}
        assert len({proposal for proposal, _ in images[1]}) == len(images[1])


def test_wrong_order():
    with pytest.raises(ValueError, match="order is 'up'; set it to 'falling', 'rising' or 'constant'"):
        make_assigner(order='up')


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16], ids=['fp16', 'bf16'])
@settings(max_examples=40)
@given(data=st.data())
def test_losses_and_gradients_are_finite(dtype, data):
    scene = draw_hostile_scene(data, dtype, most_proposals=9)
    (said, boxes), (count,) = scene.outputs, scene.targets.counts
    found = matches_of(make_assigner(), scene._replace(outputs=StageOutputs(said.float(), boxes)))
    early, last = found[0][0], found[1][0]
    numbers = Counter(target for _, target in early)
    assert len(last) == len(numbers) == min(count, said.shape[2])
    assert len({proposal for proposal, _ in early}) == len(early) <= said.shape[2]
    with torch.autocast('cpu', dtype=dtype):
        found = make_criterion()(*scene)
    assert all(value.dtype == torch.float32 and value.isfinite() for value in found.values()), found
    sum(value for name, value in found.items() if 'loss' in name).backward()
    assert said.grad.isfinite().all() and boxes.grad.isfinite().all()
