"""Matching equals the best of all permutations, and behaves at the edges."""

import logging

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.logging import MMLogger

from sparse_rcnn_ext.registry import TASK_UTILS
from sparse_rcnn_ext.task_modules import HungarianAssigner
from tests.reference.scenes import Scene, make_scene
from tests.reference.set_prediction import best_matching, cost_matrix

COSTS = dict(
    cls=dict(type='sparse_rcnn_ext.FocalLossCost', weight=2.0),
    bbox=dict(type='sparse_rcnn_ext.BBoxL1Cost', weight=5.0),
    iou=dict(type='sparse_rcnn_ext.IoUCost', iou_mode='giou', weight=2.0),
)


def make_assigner() -> HungarianAssigner:
    return TASK_UTILS.build(dict(type='sparse_rcnn_ext.HungarianAssigner', match_costs=COSTS))


def assign(scene: Scene) -> list[list[list[tuple[int, int]]]]:
    """(proposal, target) pairs of each stage and image."""
    found = make_assigner().assign(*scene.outputs, scene.targets)
    stages = zip(*(part.tolist() for part in found[:3]), strict=True)
    pairs = []
    for images, proposals, targets in stages:
        pairs.append([[] for _ in scene.targets.counts])
        for image, proposal, target in zip(images, proposals, targets, strict=True):
            pairs[-1][image].append((proposal, target))
    return pairs


@settings(max_examples=40)
@given(
    counts=st.lists(st.integers(0, 5), min_size=1, max_size=3).map(tuple),
    num_stages=st.integers(1, 3),
    num_proposals=st.integers(1, 5),
    seed=st.integers(0, 2**31),
)
def test_equals_the_best_of_all_permutations(counts, num_stages, num_proposals, seed):
    scene = make_scene(counts, num_stages, num_proposals, seed=seed)
    for stage, images in enumerate(assign(scene)):
        for index, pairs in enumerate(images):
            cost = cost_matrix(scene.image(stage, index))
            expected_total, expected_pairs = best_matching(cost) if counts[index] else (0, [])
            assert sum(cost[proposal][target] for proposal, target in pairs) == pytest.approx(expected_total, abs=1e-10)
            assert sorted(pairs) == expected_pairs  # random costs have one best matching


@settings(max_examples=15)
@given(
    counts=st.lists(st.integers(0, 40), min_size=1, max_size=4).map(tuple),
    num_proposals=st.integers(1, 30),
    seed=st.integers(0, 2**31),
)
def test_each_proposal_and_each_box_at_most_once(counts, num_proposals, seed):
    for images in assign(make_scene(counts, 2, num_proposals, seed=seed)):
        for count, pairs in zip(counts, images, strict=True):
            proposals, targets = {p for p, _ in pairs}, {t for _, t in pairs}
            assert len(pairs) == len(proposals) == len(targets) == min(count, num_proposals)
            assert proposals <= set(range(num_proposals))
            assert targets <= set(range(count))


def test_ties_and_equal_boxes_are_still_one_to_one():
    # At the start of training all proposals are the same box.
    scene = make_scene((3, 2), num_proposals=5)
    outputs = scene.outputs._replace(
        logits=torch.zeros_like(scene.outputs.logits), boxes=scene.targets.image_whwh[:, None].expand(2, 2, 5, 4) * 0.5
    )
    for images in assign(scene._replace(outputs=outputs)):
        assert [sorted(target for _, target in pairs) for pairs in images] == [[0, 1, 2], [0, 1]]
        assert [len({proposal for proposal, _ in pairs}) for pairs in images] == [3, 2]


def test_batch_without_boxes():
    scene = make_scene((0, 0), num_stages=3)
    found = make_assigner().assign(*scene.outputs, scene.targets)
    assert [tuple(part.shape) for part in found[:3]] == [(3, 0)] * 3
    assert all(part.dtype == torch.long for part in found[:3])


def test_padding_is_never_matched():
    scene = make_scene((1, 4), num_proposals=4)
    # Padding that would be the best match of every proposal.
    targets = scene.targets._replace(boxes=scene.targets.boxes.clone())
    targets.boxes[0, 1:] = scene.outputs.boxes[0, 0, 1:].detach()
    for images in assign(scene._replace(targets=targets)):
        assert [target for _, target in images[0]] == [0]


@pytest.mark.parametrize('part', ['logits', 'boxes'])
@pytest.mark.parametrize('bad', [float('nan'), float('inf'), -float('inf')])
def test_values_that_are_not_finite_are_matched_one_to_one(part, bad):
    """Their losses are not finite, see tests/models/test_extreme_values.py; scipy alone would die."""
    scene = make_scene((2, 3), num_stages=3)
    values = getattr(scene.outputs, part).detach().clone()
    values[2, 1, 4] = bad
    values[1, 0] = bad
    expected = assign(scene)
    found = assign(scene._replace(outputs=scene.outputs._replace(**{part: values})))
    assert found[0] == expected[0] and found[1][1] == expected[1][1] and found[2][0] == expected[2][0]
    for images in found:
        for count, pairs in zip((2, 3), images, strict=True):
            assert sorted(target for _, target in pairs) == list(range(count))
            assert len({proposal for proposal, _ in pairs}) == count


def test_bad_annotation_is_matched_too():
    scene = make_scene((2, 3))
    scene.targets.boxes[0, 1, 2] = float('nan')
    assert [sorted(target for _, target in pairs) for pairs in assign(scene)[0]] == [[0, 1], [0, 1, 2]]


class Messages(logging.Handler):
    """Keeps the warnings that are logged."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def messages():
    logger = MMLogger.get_current_instance()
    handler = Messages()
    logger.addHandler(handler)
    yield handler.records
    logger.removeHandler(handler)


def test_more_boxes_than_proposals_are_told_once(messages):
    assigner, scene = make_assigner(), make_scene((7, 2, 6), num_proposals=5)
    for _ in range(3):
        found = assigner.assign(*scene.outputs, scene.targets)
    assert found.proposal.shape == (2, 5 + 2 + 5)
    (record,) = messages
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith('3 ground truth boxes of this batch went unmatched')
    assert '7 boxes but only 5 proposals' in record.getMessage()
    assert 'Set model.rpn_head.num_proposals to at least 7.' in record.getMessage()


def test_as_many_boxes_as_proposals_are_no_matter(messages):
    scene = make_scene((5, 2), num_proposals=5)
    make_assigner().assign(*scene.outputs, scene.targets)
    assert not messages


def test_one_cost_can_be_switched_in_a_child_config():
    costs = {**COSTS, 'iou': dict(type='sparse_rcnn_ext.IoUCost', iou_mode='iou', weight=4.0)}
    assigner = TASK_UTILS.build(dict(type='sparse_rcnn_ext.HungarianAssigner', match_costs=costs))
    assert assigner.match_costs['iou'].iou_mode == 'iou'
    assert assigner.match_costs['iou'].weight == 4
    assert assigner.match_costs['bbox'].weight == 5
