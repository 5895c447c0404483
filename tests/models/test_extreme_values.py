"""Whatever a network says in half precision: costs, losses and gradients are finite, and matching is one to one.

A gradient is followed up to where it goes back to half precision. In float16 it can become infinite there, if it is
truly over 65504, as of a box a thousand images wide: that is what the loss scaler is for.
"""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.registry import TASK_UTILS as MMDET_TASK_UTILS
from mmengine.structures import InstanceData
from torch import Tensor, nn

from sparse_rcnn_ext.models.dii_head import decode_deltas
from sparse_rcnn_ext.models.sparse_roi_head import StageOutputs
from sparse_rcnn_ext.models.targets import Targets
from sparse_rcnn_ext.registry import MODELS
from tests.models.small_model import STAGES, build_model, make_images, make_sample

WIDTH, HEIGHT = 160.0, 96.0
CLASSES = 3
COSTS = dict(
    cls=dict(type='sparse_rcnn_ext.FocalLossCost'),
    bbox=dict(type='sparse_rcnn_ext.BBoxL1Cost'),
    iou=dict(type='sparse_rcnn_ext.IoUCost'),
)
IOU_LOSSES = dict(giou='GIoULoss', diou='DIoULoss', ciou='sparse_rcnn_ext.CIoULoss')

near = st.floats(-200, 200)
sides = st.floats(0.5, 200)
# As (x, y, width, height); a negative side turns the box round.
BOXES = {
    'ordinary': st.tuples(near, near, sides, sides),
    'tiny': st.tuples(near, near, st.floats(0, 1e-4), st.floats(0, 1e-4)),
    'huge': st.tuples(near, near, st.floats(1e5, 1e20), st.floats(1e5, 1e20)),
    'thin': st.tuples(near, near, st.floats(0, 1e-4), st.floats(1e5, 1e20)),
    'inverted': st.tuples(near, near, sides.map(lambda x: -x), sides),
    'upside down': st.tuples(near, near, st.floats(-1e12, 0), st.floats(-1e12, 0)),
    'far outside': st.tuples(st.floats(1e5, 1e20), st.floats(-1e20, -1e5), sides, sides),
}
TARGETS = {
    'ordinary': st.tuples(st.floats(0, 100), st.floats(0, 50), sides, sides),
    'tiny': st.tuples(st.floats(0, 100), st.floats(0, 50), st.just(1e-3), st.just(1e-3)),
    'line': st.tuples(st.just(10.0), st.just(10.0), st.just(100.0), st.just(0.0)),
    'image': st.just((0.0, 0.0, WIDTH, HEIGHT)),
}
logits = st.one_of(st.floats(-1e4, 1e4), st.sampled_from([-1e4, -100, -9, 0, 9, 10, 100, 1e4]))
deltas = st.one_of(st.floats(-1e4, 1e4), st.floats(-4, 4))


def draw(data: st.DataObject, one: st.SearchStrategy, count: int) -> Tensor:
    return torch.tensor(data.draw(st.lists(one, min_size=count, max_size=count)), dtype=torch.float32)


def corners(boxes: Tensor) -> Tensor:
    return torch.cat([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], -1)


def assert_one_to_one(pairs, num_proposals: int, count: int) -> None:
    for proposals, targets in zip(pairs.proposal.tolist(), pairs.target.tolist()):
        assert len(proposals) == len(set(proposals)) == len(set(targets)) == min(num_proposals, count)
        assert set(proposals) <= set(range(num_proposals)) and set(targets) <= set(range(count))


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16], ids=['fp16', 'bf16'])
@pytest.mark.parametrize('iou', IOU_LOSSES)
@settings(max_examples=40)
@given(data=st.data())
def test_costs_losses_and_gradients_are_finite(dtype, iou, data):
    num_stages, num_proposals, count = 2, data.draw(st.integers(1, 4)), data.draw(st.integers(0, 5))
    total = num_stages * num_proposals
    said = draw(data, logits, total * CLASSES).view(num_stages, 1, num_proposals, CLASSES).to(dtype).requires_grad_()
    moves = draw(data, st.tuples(*[deltas] * 4), total).view(num_stages, 1, num_proposals, 4).to(dtype)
    # So that the gradient stays float32.
    moves = moves.float().requires_grad_() if dtype == torch.float16 else moves.requires_grad_()
    proposals = corners(draw(data, st.one_of(*BOXES.values()), total).view(num_stages, 1, num_proposals, 4))
    proposals.requires_grad_()
    targets = Targets(
        boxes=corners(draw(data, st.one_of(*TARGETS.values()), count).view(1, count, 4)),
        labels=torch.arange(count).view(1, count) % CLASSES,
        counts=(count,),
        image_whwh=torch.tensor([[WIDTH, HEIGHT, WIDTH, HEIGHT]]),
    )
    boxes = decode_deltas(proposals, moves, torch.tensor([0.5, 0.5, 1, 1]), (16 / 1000, 1000 / 16))
    assert boxes.dtype == torch.float32 and boxes.isfinite().all()

    criterion = MODELS.build(
        dict(
            type='sparse_rcnn_ext.SparseRCNNCriterion',
            assigner=dict(
                type='sparse_rcnn_ext.HungarianAssigner',
                match_costs=dict(COSTS, iou=dict(type='sparse_rcnn_ext.IoUCost', iou_mode=iou)),
            ),
            loss_cls=dict(type='FocalLoss', use_sigmoid=True, loss_weight=2.0),
            loss_bbox=dict(type='L1Loss', loss_weight=5.0),
            loss_iou=dict(type=IOU_LOSSES[iou], loss_weight=2.0),
        )
    )
    for name, cost in criterion.assigner.match_costs.items():
        values = cost(said.detach().float(), boxes.detach(), targets)
        assert values.dtype == torch.float32 and values.isfinite().all(), name
    assert_one_to_one(criterion.assigner.assign(said.detach().float(), boxes.detach(), targets), num_proposals, count)

    losses = criterion(StageOutputs(said, boxes), targets)
    assert all(value.dtype == torch.float32 and value.isfinite() for value in losses.values()), losses
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    for name, leaf in dict(logits=said, deltas=moves, proposals=proposals).items():
        assert leaf.grad.isfinite().all(), name


@pytest.fixture(scope='module')
def network() -> nn.Module:
    return build_model().train()


@settings(max_examples=20)
@given(
    loudness=st.floats(1, 1e4),
    reach=st.sampled_from([1e-6, 1.0, 1e3, 1e6]),
    turned=st.booleans(),
    dtype=st.sampled_from([torch.float16, torch.bfloat16]),
)
def test_the_whole_network_on_a_bad_day(network, loudness, reach, turned, dtype):
    model = copy.deepcopy(network)
    with torch.no_grad():
        proposals = model.rpn_head.init_proposal_bboxes.weight.mul_(reach)
        if turned:
            proposals[:, 2:].neg_()
        for stage in model.roi_head.bbox_head:
            for layer in (stage.fc_cls, stage.fc_reg):
                nn.init.uniform_(layer.bias, -loudness, loudness)
    sizes = [(64, 90), (50, 128)]
    samples = [make_sample(size, 3, seed) for seed, size in enumerate(sizes)]
    with torch.autocast('cpu', dtype=dtype):
        losses = model.loss(make_images(sizes, torch.float32), samples)
    assert all(value.isfinite() for value in losses.values()), losses
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    if dtype == torch.bfloat16:
        assert all(p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)


def test_mmdet_alone_dies_where_ours_goes_on():
    """At a logit of 10, 1 − p is 0 in fp16, and so is mmdet's epsilon of 1e-12."""
    said = torch.tensor([[10.0, -3, 0], [0, 0, 0]], dtype=torch.float16)
    boxes = torch.tensor([[0.0, 0, 50, 50], [10, 10, 90, 90]])
    truth, labels = torch.tensor([[0.0, 0, 50, 50]]), torch.tensor([0])
    mmdet = MMDET_TASK_UTILS.build(dict(type='HungarianAssigner', match_costs=[dict(type='FocalLossCost', weight=2.0)]))
    with pytest.raises(ValueError, match='matrix contains invalid numeric entries'):
        mmdet.assign(
            InstanceData(scores=said, bboxes=boxes),
            InstanceData(labels=labels, bboxes=truth),
            img_meta=dict(img_shape=(96, 160)),
        )
    ours = MMDET_TASK_UTILS.build(dict(type='sparse_rcnn_ext.HungarianAssigner', match_costs=COSTS))
    targets = Targets(truth[None], labels[None], (1,), torch.tensor([[WIDTH, HEIGHT, WIDTH, HEIGHT]]))
    pairs = ours.assign(said[None, None].float(), boxes[None, None], targets)
    assert pairs.proposal.tolist() == [[0]]


@pytest.mark.parametrize('bad', [float('nan'), float('inf'), -float('inf')])
@pytest.mark.parametrize('part', ['fc_cls', 'fc_reg'])
@pytest.mark.parametrize('counts', [(3, 2), (1, 0), (0, 0)])
def test_what_is_not_finite_reaches_a_loss_of_its_stage(network, part, bad, counts):
    """Also in the last stage, and in proposals that no ground truth has."""
    model = copy.deepcopy(network)
    last = model.roi_head.bbox_head[STAGES - 1]
    getattr(last, part).register_forward_hook(lambda module, inputs, output: output.index_fill(1, torch.tensor(4), bad))
    sizes = [(64, 90), (50, 128)]
    samples = [make_sample(size, count, seed) for seed, (size, count) in enumerate(zip(sizes, counts))]
    losses = model.loss(make_images(sizes, torch.float32), samples)
    ill = {name.split('.')[0] for name, value in losses.items() if not value.isfinite()}
    assert ill == {f's{STAGES - 1}'}
