"""Mixed precision: the network runs in half precision, boxes, costs and losses do not."""

import pytest
import torch

from tests.models.small_model import build_model, make_images, make_sample

SIZES = [(64, 90), (50, 128)]


def make_inputs(counts=(3, 2)):
    samples = [make_sample(size, n, seed) for seed, (size, n) in enumerate(zip(SIZES, counts, strict=True))]
    return make_images(SIZES, torch.float32), samples


@pytest.mark.parametrize('counts', [(3, 2), (0, 0)])
def test_losses_under_autocast(counts):
    model = build_model().train()
    costs = model.criterion.assigner.match_costs
    seen = []
    for name, cost in costs.items():
        costs[name] = lambda *args, cost=cost: seen.append(cost(*args)) or seen[-1]
    with torch.autocast('cpu', dtype=torch.bfloat16):
        found = model.loss(*make_inputs(counts))
    assert [cost.dtype for cost in seen] == [torch.float32] * 3
    for name, value in found.items():
        assert value.dtype == torch.float32, name
        assert value.isfinite(), name
    sum(value for name, value in found.items() if 'loss' in name).backward()
    grads = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    assert all(grad is not None and grad.dtype == torch.float32 and grad.isfinite().all() for grad in grads.values())


def test_losses_under_autocast_are_near_those_without():
    model = build_model().train()
    plain = model.loss(*make_inputs())
    with torch.autocast('cpu', dtype=torch.bfloat16):
        found = model.loss(*make_inputs())
    for name in ('s0.loss_cls', 's0.loss_bbox', 's0.loss_iou'):
        assert found[name].item() == pytest.approx(plain[name].item(), rel=0.1)
        assert found[name].item() != plain[name].item()  # something did run in bfloat16


def test_the_stages_really_run_in_half_precision():
    model = build_model().eval()
    inputs, samples = make_inputs()
    with torch.no_grad(), torch.autocast('cpu', dtype=torch.bfloat16):
        outputs = model(inputs, samples, mode='tensor')
    assert outputs.logits.dtype == torch.bfloat16
    assert outputs.boxes.dtype == torch.float32


def test_predictions_under_autocast():
    model = build_model().eval()
    inputs, samples = make_inputs()
    with torch.no_grad(), torch.autocast('cpu', dtype=torch.bfloat16):
        results = model.predict(inputs, samples)
    for result in results:
        found = result.pred_instances
        assert found.bboxes.dtype == torch.float32
        assert found.scores.dtype == torch.float32  # numpy, and so every metric, knows no bfloat16
        assert (found.scores[:-1] >= found.scores[1:]).all()
        assert all(value.isfinite().all() for value in (found.bboxes, found.scores))
