"""Softmax in place of focal loss, and matching weights of their own: both against slow oracles."""

import pytest
import torch

from sparse_rcnn_ext.models.ablations import SoftmaxDIIHead
from tests.configs.ablation_rows import build_row
from tests.models.small_model import CLASSES, STAGES, make_images, make_sample
from tests.reference.scenes import make_scene
from tests.reference.set_prediction import best_matching, cost_matrix, losses
from tests.reference.softmax import class_loss, softmax

SIZES = [(64, 90), (50, 61)]


def softmax_cost(logits: list[float], label: int) -> float:
    return -softmax(logits)[label]


@pytest.mark.parametrize('counts', [(3, 0, 2), (0, 0), (6, 1)])
def test_softmax_losses_and_matching_equal_their_definition(counts):
    scene = make_scene(counts, num_proposals=4, num_classes=CLASSES + 1)
    scene.targets.labels.clamp_(max=CLASSES - 1)
    found = build_row('softmax').criterion(*scene)
    for stage in range(2):
        logits, labels = [], []
        for index in range(len(counts)):
            image = scene.image(stage, index)
            target_of = dict(best_matching(cost_matrix(image, class_cost=softmax_cost))[1])
            logits += image.logits
            labels += [image.labels[target_of[p]] if p in target_of else CLASSES for p in range(len(image.logits))]
        expected = 2 * class_loss(logits, labels, no_object_weight=0.1)
        assert found[f's{stage}.loss_cls'].item() == pytest.approx(expected, rel=1e-9)
    assert found['s0.loss_bbox'].item() > 0 or not any(counts)


def test_softmax_scores_add_up_to_one_with_no_object():
    model = build_row('softmax').eval()
    samples = [make_sample(size, 0) for size in SIZES]
    with torch.no_grad():
        outputs = model(make_images(SIZES), samples, mode='tensor')
        results = model.predict(make_images(SIZES), samples)
    assert outputs.logits.shape[-1] == CLASSES + 1
    scores = model.roi_head.scores(outputs.logits[-1])
    assert scores.shape[-1] == CLASSES
    logits = outputs.logits[-1, 0, 0].tolist()
    assert scores[0, 0].tolist() == pytest.approx(softmax(logits)[:-1])
    assert scores.sum(-1).max() < 1
    for image, result in enumerate(results):
        # As in the official code, each proposal says its best class, and only that.
        best, labels = scores[image].max(dim=-1)
        order = best.argsort(descending=True)
        torch.testing.assert_close(result.pred_instances.scores, best[order])
        assert torch.equal(result.pred_instances.labels, labels[order])
        torch.testing.assert_close(result.pred_instances.bboxes, outputs.boxes[-1, image, order])
    # Without softmax, the scores of a proposal know nothing of each other.
    other = build_row('default')
    assert other.roi_head.scores(torch.full((1, CLASSES), 3.0)).sum() > CLASSES - 1


def test_softmax_starts_with_all_classes_alike():
    model = build_row('softmax', spread=False)
    assert all(
        stage.fc_cls.bias.eq(0).all() and len(stage.fc_cls.bias) == CLASSES + 1 for stage in model.roi_head.bbox_head
    )


def test_softmax_scores_in_half_precision():
    assert SoftmaxDIIHead.scores(torch.zeros(2, 3, dtype=torch.bfloat16)).dtype == torch.float32


def test_an_unmatched_proposal_weighs_a_tenth():
    loss = build_row('softmax').criterion.loss_cls
    logits = torch.tensor([[2.0, 0, 1], [0, 1, 3]], requires_grad=True)
    loss(logits, torch.tensor([0, 2])).backward()
    expected = 2 / 1.1 * (logits.detach().softmax(-1) - torch.eye(3)[[0, 2]]) * torch.tensor([[1.0], [0.1]])
    torch.testing.assert_close(logits.grad, expected)


def test_matching_weights_apart_from_the_loss_weights():
    """Each matching is the cheapest by its own weights; where one pair alone is possible, the losses are equal."""
    criteria = {row: build_row(row).criterion for row in ('match-weights', 'default')}
    scene = make_scene((4, 3), num_stages=4, num_proposals=5, num_classes=CLASSES)
    differ = 0
    for stage in range(4):
        for index in range(2):
            pairs = []
            for row, weights in (('match-weights', (1, 1, 1)), ('default', (2, 5, 2))):
                found = criteria[row].assigner.assign(*scene.outputs, scene.targets)
                mine = found.image[stage] == index
                pairs.append(list(zip(found.proposal[stage][mine].tolist(), found.target[stage][mine].tolist())))
                assert pairs[-1] == best_matching(cost_matrix(scene.image(stage, index), weights))[1]
            differ += pairs[0] != pairs[1]
    assert differ

    single = make_scene((1, 1), num_stages=STAGES, num_proposals=1, num_classes=CLASSES)
    apart, equal = (criteria[row](*single) for row in ('match-weights', 'default'))
    assert apart == equal
    for name, value in losses([single.image(0, index) for index in range(2)]).items():
        assert apart[f's0.{name}'].item() == pytest.approx(value, rel=1e-9)
