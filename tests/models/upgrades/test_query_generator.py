"""The query generator: what it proposes, what it learns from, and what padding changes: nothing."""

import math

import pytest
import torch
from torch import Tensor

from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.models.targets import Targets
from sparse_rcnn_ext.models.upgrades.query_generator import QueryGenerator
from tests.reference.boxes import giou
from tests.reference.query_generator import locations, qualities
from tests.reference.set_prediction import best_matching, focal

CHANNELS = 6
STRIDES = (4, 8, 16, 32)
SIZES = ((40, 50), (64, 30))  # height, width


def make_head(num_proposals: int = 7, **settings) -> QueryGenerator:
    torch.manual_seed(0)
    head = QueryGenerator(num_proposals, CHANNELS, **settings)
    head.init_weights()
    for layer in (head.box, head.objectness, *head.norm[:1], *head.feature):
        torch.nn.init.normal_(layer.weight)
        torch.nn.init.normal_(layer.bias)
    return head.double()


def make_pyramid(sizes=SIZES, height: int = 64, width: int = 64, seed: int = 0) -> list[Tensor]:
    """Random levels, 0 in the padding of each image beyond whole cells."""
    levels = []
    for stride in STRIDES:
        level = torch.zeros(len(sizes), CHANNELS, height // stride, width // stride, dtype=torch.float64)
        for image, (tall, wide) in enumerate(sizes):
            generator = torch.Generator().manual_seed(100 * seed + image)
            shape = CHANNELS, -(-tall // stride), -(-wide // stride)
            level[image, :, : shape[1], : shape[2]] = torch.randn(*shape, generator=generator, dtype=torch.float64)
        levels.append(level.requires_grad_())
    return levels


def make_whwh(sizes=SIZES) -> Tensor:
    return torch.tensor([[width, height, width, height] for height, width in sizes], dtype=torch.float64)


def make_targets(boxes: list[list[tuple[float, ...]]], sizes=SIZES) -> Targets:
    padded = torch.zeros(len(boxes), max(map(len, boxes)), 4, dtype=torch.float64)
    for row, of_image in zip(padded, boxes, strict=True):
        row[: len(of_image)] = torch.tensor(of_image, dtype=torch.float64).view(-1, 4)
    labels = torch.zeros(padded.shape[:2], dtype=torch.long)
    return Targets(padded, labels, tuple(map(len, boxes)), make_whwh(sizes))


BOXES = [[(3.0, 4, 30, 22), (20.0, 10, 47, 39)], [(2.0, 30, 28, 60)]]


def places_in(head: QueryGenerator, pyramid: list[Tensor], image: int, size: tuple[int, int]) -> list:
    """The slow oracle's locations in an image of that height and width, the finest level left out."""
    with torch.no_grad():
        found = locations(head, [level[image].detach() for level in pyramid[1:]], STRIDES[1:], *reversed(size))
    return [place for place in found if place is not None]


def test_the_best_locations_in_their_order():
    head, pyramid = make_head(prior_prob=0.3), make_pyramid()
    boxes, features, prior = head(make_whwh(), pyramid)
    assert boxes.shape == (2, 7, 4) and features.shape == (2, 7, CHANNELS) and prior.shape == (2, 7, 1)
    for image in range(2):
        inside = places_in(head, pyramid, image, SIZES[image])
        best = sorted(inside, key=lambda place: -place.logit)[:7]
        assert len(inside) > 14
        expected = torch.tensor([place.box for place in best], dtype=torch.float64)
        torch.testing.assert_close(boxes[image], expected, rtol=1e-10, atol=1e-9)
        torch.testing.assert_close(features[image], torch.stack([place.feature for place in best]))
        assert prior[image, :, 0].tolist() == pytest.approx([place.logit - math.log(0.3 / 0.7) for place in best])


def test_losses_equal_their_definition():
    head, pyramid, targets = make_head(loss_cls_weight=1.5, loss_iou_weight=3.0), make_pyramid(), make_targets(BOXES)
    found = head.propose_and_learn(make_whwh(), pyramid, targets)[1]
    objectness = overlap = 0.0
    for image, truths in enumerate(BOXES):
        logits, boxes, cells, _ = zip(*places_in(head, pyramid, image, SIZES[image]), strict=True)
        cost = [[-value for value in row] for row in qualities(logits, boxes, cells, truths, bonus=10)]
        pairs = best_matching(cost)[1]
        matched = {location for location, _ in pairs}
        objectness += sum(focal(logit, place in matched) for place, logit in enumerate(logits))
        overlap += sum(1 - giou(boxes[location], truths[target]) for location, target in pairs)
    assert found.keys() == {'rpn.loss_cls', 'rpn.loss_iou'}
    assert found['rpn.loss_cls'].item() == pytest.approx(1.5 * objectness / 3, rel=1e-9)
    assert found['rpn.loss_iou'].item() == pytest.approx(3 * overlap / 3, rel=1e-6)


def test_training_proposes_what_inference_does():
    head, pyramid = make_head(), make_pyramid()
    proposals, _ = head.propose_and_learn(make_whwh(), pyramid, make_targets(BOXES))
    for found, expected in zip(proposals, head(make_whwh(), pyramid), strict=True):
        assert torch.equal(found, expected)


def test_a_fresh_generator_is_as_sure_as_its_prior_of_boxes_of_the_scale():
    torch.manual_seed(0)
    head = QueryGenerator(num_proposals=9, proposal_feature_channel=64, prior_prob=0.02, box_scale=4.0).double()
    head.init_weights()
    assert (head.loss_cls.loss_weight, head.loss_iou.loss_weight) == (1, 2)
    torch.nn.init.zeros_(head.objectness.weight)
    pyramid = [torch.randn(1, 64, 64 // stride, 64 // stride, dtype=torch.float64) for stride in STRIDES]
    _, logits, boxes, cells = head._look(make_whwh([(64, 64)]), pyramid)
    assert logits.sigmoid().sub(0.02).abs().max() < 1e-6
    sides = (boxes[..., 2:] - boxes[..., :2]) / cells[:, 2:]
    assert 3 < sides.min() < sides.max() < 5 and sides.std() > 0


def test_batched_equals_single():
    head, pyramid = make_head(), make_pyramid()
    batched = head(make_whwh(), pyramid)
    for image, size in enumerate(SIZES):
        padded = [-(-side // 32) * 32 for side in size]
        levels = [
            level[image, None, :, : padded[0] // stride, : padded[1] // stride]
            for level, stride in zip(pyramid, STRIDES, strict=True)
        ]
        assert levels[1].shape != pyramid[1].shape
        for found, expected in zip(head(make_whwh([size]), levels), batched, strict=True):
            torch.testing.assert_close(found[0], expected[image], rtol=0, atol=1e-10)


def test_loss_of_a_batch_is_the_mean_over_its_boxes():
    head, pyramid = make_head(), make_pyramid()
    both = head.propose_and_learn(make_whwh(), pyramid, make_targets(BOXES))[1]
    alone = [
        head.propose_and_learn(
            make_whwh([SIZES[image]]), [level[image, None] for level in pyramid], make_targets([BOXES[image]])
        )[1]
        for image in range(2)
    ]
    for name, value in both.items():
        assert value.item() == pytest.approx((2 * alone[0][name].item() + alone[1][name].item()) / 3, rel=1e-9)


def test_batch_padding_is_not_proposed_nor_learned():
    head, targets = make_head(num_proposals=20), make_targets(BOXES)
    head.norm = torch.nn.Identity()
    torch.nn.init.constant_(head.conv.weight, 0.1)
    torch.nn.init.constant_(head.objectness.weight, 0.1)
    outcomes = []
    for loudness in (0.0, 100.0):
        pyramid = make_pyramid()
        with torch.no_grad():
            for level, stride in zip(pyramid, STRIDES, strict=True):
                for image, (height, width) in enumerate(SIZES):
                    # A cell further than the first that is no part of the image, which the convolution looks at.
                    level[image, :, -(-height // stride) + 1 :] = loudness
                    level[image, :, :, -(-width // stride) + 1 :] = loudness
        head.zero_grad()
        (boxes, _, _), losses = head.propose_and_learn(make_whwh(), pyramid, targets)
        losses['rpn.loss_cls'].backward()
        outcomes.append((boxes, losses['rpn.loss_cls'].detach(), head.objectness.weight.grad.clone()))
    for quiet, loud in zip(*outcomes, strict=True):
        torch.testing.assert_close(loud, quiet, rtol=0, atol=1e-10)


@pytest.mark.parametrize('sizes', [[(64, 64)], [(20, 9), (64, 64)], [(1, 1), (33, 3)]])
def test_fewer_locations_than_proposals(sizes):
    head, pyramid = make_head(num_proposals=200), make_pyramid(sizes)
    targets = make_targets([[(0.0, 0, 1, 1)]] + [[]] * (len(sizes) - 1), sizes)
    (boxes, features, prior), losses = head.propose_and_learn(make_whwh(sizes), pyramid, targets)
    assert boxes.shape == (len(sizes), 200, 4) and features.shape == (len(sizes), 200, CHANNELS)
    assert boxes.isfinite().all() and (boxes[..., 2:] > boxes[..., :2]).all()
    for image, size in enumerate(sizes):
        # Those in the image come first.
        inside = sorted(places_in(head, pyramid, image, size), key=lambda place: -place.logit)
        expected = torch.tensor([place.box for place in inside], dtype=torch.float64)
        torch.testing.assert_close(boxes[image, : len(inside)], expected)
        assert (prior[image, len(inside) :] == -10).all()
    (sum(losses.values()) + features.square().mean()).backward()
    assert all(parameter.grad.isfinite().all() for parameter in head.parameters())


def test_more_objects_than_locations_in_the_image():
    """Those left over go to the padding, from which objectness is not learned."""
    head, sizes = make_head(), [(8, 8)]
    pyramid = make_pyramid(sizes)
    losses = head.propose_and_learn(make_whwh(sizes), pyramid, make_targets([[(0.0, 0, 8, 8)] * 5], sizes))[1]
    inside = places_in(head, pyramid, 0, sizes[0])
    assert len(inside) == 3
    assert losses['rpn.loss_cls'].item() == pytest.approx(sum(focal(place.logit, True) for place in inside) / 5)


@pytest.mark.parametrize('width', range(33, 65))
def test_an_object_at_the_border_of_the_image_is_learned(width):
    """Where a cell is half padding."""
    head, pyramid = make_head(), make_pyramid([(64, width)])
    found = [
        head.propose_and_learn(make_whwh([(64, width)]), pyramid, make_targets([boxes], [(64, width)]))[1]
        for boxes in ([(width - 1.0, 30, width, 31)], [])
    ]
    assert found[0]['rpn.loss_cls'].item() != pytest.approx(found[1]['rpn.loss_cls'].item(), rel=1e-9)


def trained(head: QueryGenerator, pyramid: list[Tensor]) -> tuple[set[str], list[bool]]:
    """Which parts and which levels got a gradient."""
    parts = {name.split('.')[0] for name, p in head.named_parameters() if p.grad is not None and p.grad.any()}
    return parts, [level.grad is not None and bool(level.grad.any()) for level in pyramid]


@pytest.mark.parametrize(
    ('source', 'parts'),
    [
        ('rpn.loss_cls', {'conv', 'norm', 'objectness'}),
        ('rpn.loss_iou', {'conv', 'norm', 'box'}),
        ('features', {'conv', 'norm', 'feature'}),
        ('prior', {'conv', 'norm', 'objectness'}),
    ],
)
def test_what_learns_from_what(source, parts):
    head, pyramid = make_head(), make_pyramid()
    (boxes, features, prior), losses = head.propose_and_learn(make_whwh(), pyramid, make_targets(BOXES))
    assert not boxes.requires_grad
    dict(losses, features=features.square().sum(), prior=prior.sum())[source].backward()
    found, levels = trained(head, pyramid)
    assert found == parts
    assert not levels[0] and any(levels[1:])


@pytest.mark.parametrize('boxes', [[[], []], [[], BOXES[1]]], ids=['none', 'one image'])
def test_images_without_boxes(boxes):
    head, pyramid = make_head(), make_pyramid()
    losses = head.propose_and_learn(make_whwh(), pyramid, make_targets(boxes))[1]
    count = sum(map(len, boxes))
    assert losses['rpn.loss_cls'] > 0 and (losses['rpn.loss_iou'] > 0) == (count > 0)
    sum(losses.values()).backward()
    # Distributed training waits for every gradient.
    assert all(p.grad is not None for name, p in head.named_parameters() if not name.startswith('feature'))
    assert bool(head.box.weight.grad.any()) == (count > 0)


def test_a_box_that_is_not_finite_is_seen_in_the_loss():
    """FiniteLossHook watches losses alone."""
    head, pyramid = make_head(), make_pyramid()
    torch.nn.init.constant_(head.box.bias, float('nan'))
    for boxes in (BOXES, [[], []]):
        assert not head.propose_and_learn(make_whwh(), pyramid, make_targets(boxes))[1]['rpn.loss_iou'].isfinite()


def test_another_number_of_levels():
    with pytest.raises(UserError, match='3 pyramid levels for 4 featmap_strides'):
        make_head()(make_whwh(), make_pyramid()[:3])
