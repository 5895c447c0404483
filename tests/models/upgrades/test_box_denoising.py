"""Denoising: what is made of the ground truth, who sees whom, what is learned; and nothing at inference."""

import copy
from collections.abc import Callable

import pytest
import torch
from mmdet.structures.bbox import bbox_xyxy_to_cxcywh
from torch import Tensor, nn

from sparse_rcnn_ext.models.sparse_roi_head import StageOutputs
from sparse_rcnn_ext.models.targets import Targets, pack_image_whwh, pack_targets
from sparse_rcnn_ext.models.upgrades.box_denoising import BoxDenoising
from tests.configs.ablation_rows import WHWH, build_upgrade, make_pyramid
from tests.models.small_model import CHANNELS, PROPOSALS, STAGES, make_images, make_sample
from tests.reference.boxes import giou, l1
from tests.reference.set_prediction import focal

SIZES = [(64, 90), (50, 128)]
GROUPS = 2
FEW_GROUPS = {'model.denoising.num_groups': GROUPS}


def make_samples(counts=(3, 2)) -> list:
    return [make_sample(size, n, seed) for seed, (size, n) in enumerate(zip(SIZES, counts, strict=True))]


def make_targets(counts=(3, 2)) -> Targets:
    samples = make_samples(counts)
    return pack_targets(samples, pack_image_whwh(samples, torch.zeros((), dtype=torch.float64)))


def make_denoising(num_groups: int = GROUPS, **settings) -> BoxDenoising:
    torch.manual_seed(0)
    return BoxDenoising(CHANNELS, num_groups, **settings).double()


@pytest.fixture(params=['denoising', 'best'])
def model(request) -> nn.Module:
    return build_upgrade(request.param, FEW_GROUPS).double().train()


def test_noise_keeps_to_its_bounds_and_reaches_them():
    targets = make_targets((1, 1))
    centres, sides = bbox_xyxy_to_cxcywh(targets.boxes).split(2, dim=-1)  # (2, 1, 2)
    boxes = make_denoising(num_groups=250, noise=0.3)(targets).boxes
    assert boxes.shape == (2, 250, 4)
    found, found_sides = bbox_xyxy_to_cxcywh(boxes).split(2, dim=-1)
    noise = torch.cat([(found - centres) / (sides / 2), found_sides / sides - 1], dim=-1)  # (2, 250, 4)
    assert noise.abs().max() <= 0.3 + 1e-9
    assert noise.amin(1).max() < -0.29 and noise.amax(1).min() > 0.29
    # Each number of each copy for itself.
    correlation = torch.corrcoef(noise.transpose(1, 2).flatten(0, 1))
    assert (correlation - torch.eye(8)).abs().max() < 0.25


def test_copies_share_one_feature():
    of_config = build_upgrade('best').denoising
    assert (of_config.num_groups, of_config.noise, of_config.content.weight.shape) == (5, 0.4, (1, CHANNELS))
    denoising = make_denoising()
    noised = denoising(make_targets())
    assert noised.boxes.shape == (2, GROUPS * 3, 4) and not noised.boxes.requires_grad
    assert torch.equal(noised.features, denoising.content.weight.expand(2, GROUPS * 3, CHANNELS))


@pytest.mark.parametrize(('boxes', 'groups'), [(1, 5), (4, 5), (5, 4), (10, 2), (11, 1), (20, 1), (21, 1)])
def test_fewer_groups_of_many_boxes(boxes, groups):
    noised = make_denoising(num_groups=5, max_boxes=20)(make_targets((boxes, 1)))
    assert noised.boxes.shape[1] == groups * boxes


def test_each_copy_is_learned_as_the_box_that_it_was_made_from():
    targets = make_targets()
    noised = make_denoising(num_groups=4, noise=0.0)(targets)
    boxes, _, prior = noised.join(torch.zeros(2, PROPOSALS, 4).double(), torch.zeros(2, PROPOSALS, CHANNELS).double())
    assert prior is None
    places = torch.arange(2 * boxes.shape[1]).view(1, 2, -1, 1).expand(STAGES, -1, -1, 5)
    real, (copies, pairs, truths) = noised.split(StageOutputs(places, boxes.expand(STAGES, -1, -1, -1)))
    assert torch.equal(real.logits, places[:, :, :PROPOSALS]) and real.boxes.shape == (STAGES, 2, PROPOSALS, 4)

    assert copies.boxes.shape == (STAGES, 4 * 5, 1, 4) and truths.counts == (1,) * 20
    torch.testing.assert_close(copies.boxes[:, pairs.image[0], pairs.proposal[0]], truths.boxes[:, 0].expand(3, -1, -1))
    assert (pairs.target == 0).all() and pairs.weight is None
    image = copies.logits[0, :, 0, 0] // boxes.shape[1]
    assert torch.equal(truths.image_whwh, targets.image_whwh[image])
    rows = {tuple(box): label for box, label in zip(targets.boxes.flatten(0, 1).tolist(), targets.labels.flatten())}
    assert truths.labels[:, 0].tolist() == [rows[tuple(box)] for box in truths.boxes[:, 0].tolist()]
    # Every copy once, padding never.
    assert copies.logits[0, :, 0, 0].unique().numel() == 20


def test_who_must_not_see_whom():
    """Two groups of three; the second image has two boxes and padding."""
    hidden = make_denoising()(make_targets((3, 2))).hidden(4)
    kinds = ['proposal'] * 4 + [0] * 3 + [1] * 3
    for image, padding in enumerate([set(), {6, 9}]):
        for row in range(10):
            for column in range(10):
                sees = row == column or (kinds[row] == kinds[column] and column not in padding)
                assert hidden[image, row, column] == (not sees), (image, row, column)


FIRST, SECOND = PROPOSALS, PROPOSALS + 3  # rows at which two groups of three begin
PARTS = {'proposals': slice(FIRST), 'first group': slice(FIRST, SECOND), 'second group': slice(SECOND, SECOND + 3)}


def run_joined(model: nn.Module, change: Callable[[Tensor, Tensor], object]) -> StageOutputs:
    """The stages on proposals and groups, after a change of their boxes and features."""
    noised = make_denoising()(make_targets((3, 2)))
    boxes, features, _ = noised.join(*model.rpn_head(WHWH))
    with torch.no_grad():
        change(boxes, features)
        return model.roi_head(make_pyramid(), boxes, features, hidden=noised.hidden(PROPOSALS))


@pytest.mark.parametrize('name', ['denoising', 'recursive'])
@pytest.mark.parametrize('shaken', PARTS)
def test_what_one_part_says_hangs_on_no_other(name, shaken):
    model = build_upgrade(name).double().train()

    def shake(boxes: Tensor, features: Tensor) -> None:
        features[:, PARTS[shaken]][:, 0] += 1
        boxes[:, PARTS[shaken]][:, 0] += torch.tensor([-3.0, 2, 5, 9])

    for before, after in zip(run_joined(model, lambda *_: None), run_joined(model, shake), strict=True):
        for part, rows in PARTS.items():
            changed = (before[:, :, rows] - after[:, :, rows]).abs().amax(-1)  # (S, B, ·)
            if part == shaken:
                assert changed[:, :, :2].gt(1e-7).all(), 'those of a part see each other'
            else:
                assert changed.max() < 1e-12, part


def test_nobody_sees_padding():
    model = build_upgrade('denoising').double().train()
    padding = [FIRST + 2, SECOND + 2]

    def fill(boxes: Tensor, features: Tensor) -> None:
        features[1, padding], boxes[1, padding] = 1e3, torch.tensor([0.0, 0, 1e3, 2e3]).double()

    others = [row for row in range(SECOND + 3) if row not in padding]
    for before, after in zip(run_joined(model, lambda *_: None), run_joined(model, fill), strict=True):
        torch.testing.assert_close(after[:, 1, others], before[:, 1, others], rtol=0, atol=1e-12)
        assert before.isfinite().all() and after.isfinite().all()
        assert not torch.equal(before[:, 1, padding], after[:, 1, padding])


@pytest.mark.parametrize('counts', [(3, 2), (2, 0), (0, 0)])
def test_proposals_learn_as_without(model, counts):
    plain = copy.deepcopy(model)
    plain.denoising = None
    images, samples = make_images(SIZES), make_samples(counts)
    expected, found = plain.loss(images, samples), model.loss(images, samples)
    noised = {name: value for name, value in found.items() if name.startswith('dn_')}
    assert len(noised) == 4 * STAGES and found.keys() - noised.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].item() == pytest.approx(value.item(), rel=1e-11), name
    if not any(counts):
        assert all(value == 0 for value in noised.values())


def stage_losses(model: nn.Module, counts=(3, 2)) -> tuple[dict[str, Tensor], StageOutputs]:
    """All losses, and the outputs of the stages that they come from, which keep their gradients."""
    seen = []
    hook = model.roi_head.register_forward_hook(lambda module, inputs, outputs: seen.append(outputs))
    losses = model.loss(make_images(SIZES), make_samples(counts))
    hook.remove()
    for part in seen[0]:
        part.retain_grad()
    return losses, seen[0]


def test_losses_equal_their_definition():
    """Of all ten copies in two groups, each with its own ground truth."""
    model = build_upgrade('denoising', FEW_GROUPS).double().train()
    losses, outputs = stage_losses(model)
    targets = make_targets()
    for stage in range(STAGES):
        cls = bbox = overlap = right = 0.0
        for image, group, place in ((i, g, p) for i in range(2) for g in range(GROUPS) for p in range((3, 2)[i])):
            row = PROPOSALS + 3 * group + place
            logits, box = outputs.logits[stage, image, row].tolist(), tuple(outputs.boxes[stage, image, row].tolist())
            label, truth = targets.labels[image, place].item(), tuple(targets.boxes[image, place].tolist())
            cls += 2 * sum(focal(logit, index == label) for index, logit in enumerate(logits))
            bbox += 5 * l1(box, truth, *targets.image_whwh[image, :2].tolist())
            overlap += 2 * (1 - giou(box, truth))
            right += logits.index(max(logits)) == label
        expected = dict(loss_cls=cls / 10, loss_bbox=bbox / 10, loss_iou=overlap / 10, pos_acc=10 * right)
        for name, value in expected.items():
            assert losses[f'dn_s{stage}.{name}'].item() == pytest.approx(value, rel=1e-6), name


def add(losses: dict[str, Tensor], noised: bool) -> Tensor:
    return sum(value for name, value in losses.items() if 'loss' in name and name.startswith('dn_') == noised)


def test_padding_has_no_loss(model):
    losses, outputs = stage_losses(model)
    add(losses, noised=True).backward()
    copied = (torch.arange(SECOND + 3) >= PROPOSALS).repeat(2, 1)
    copied[1, [FIRST + 2, SECOND + 2]] = False
    for part in outputs:
        assert torch.equal(part.grad.ne(0).any(-1), copied.expand(STAGES, -1, -1))


@pytest.mark.parametrize('noised', [False, True])
def test_what_learns_from_what(model, noised):
    add(stage_losses(model)[0], noised).backward()

    def learns(*parts: nn.Module) -> list[bool]:
        return [any(p.grad is not None and bool(p.grad.any()) for p in part.parameters()) for part in parts]

    assert learns(model.denoising, model.rpn_head) == [noised, not noised]
    assert all(learns(model.neck, *model.roi_head.bbox_head))


@pytest.mark.parametrize('counts', [(2, 0), (0, 0)])
def test_images_without_boxes(model, counts):
    losses, _ = stage_losses(model, counts)
    assert all(value.isfinite() for value in losses.values())
    add(losses, noised=True).backward()
    # Distributed training waits for every gradient.
    assert model.denoising.content.weight.grad is not None
    assert bool(model.denoising.content.weight.grad.any()) == (sum(counts) > 0)


def test_gone_at_inference(model, monkeypatch):
    model.eval()
    plain = copy.deepcopy(model)
    plain.denoising = None

    def refuse(*_):
        raise AssertionError('noised at inference')

    monkeypatch.setattr(model.denoising, 'forward', refuse)
    with torch.no_grad():
        found, expected = (each.predict(make_images(SIZES), make_samples()) for each in (model, plain))
    for ours, theirs in zip(found, expected, strict=True):
        assert len(ours.pred_instances) == PROPOSALS
        assert torch.equal(ours.pred_instances.bboxes, theirs.pred_instances.bboxes)
        assert torch.equal(ours.pred_instances.scores, theirs.pred_instances.scores)


def test_copies_are_as_sure_as_the_surest_proposal():
    prior = torch.tensor([[-3.0, 2, 1], [-4, -5, -6]]).double()[..., None]
    joined = make_denoising()(make_targets()).join(torch.zeros(2, 3, 4), torch.zeros(2, 3, CHANNELS), prior)[2]
    assert torch.equal(joined[:, :3], prior)
    assert joined[:, 3:, 0].tolist() == [[2] * GROUPS * 3, [-4] * GROUPS * 3]
