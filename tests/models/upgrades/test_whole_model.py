"""What the upgrades leave as it is: no waiting for the device, less memory on demand, pictures, and what a prior is."""

import copy
from types import SimpleNamespace

import pytest
import torch
from mmdet.structures import DetDataSample

from sparse_rcnn_ext.analysis.stage_dial import measure_latencies
from sparse_rcnn_ext.visualization import trace_stages
from tests.configs.ablation_rows import WHWH, build_upgrade, make_pyramid
from tests.models.small_model import PROPOSALS, STAGES, make_images, make_sample
from tests.models.test_synchronisation import refuse, run_without_values, watch_fetches

SIZES = [(64, 90), (50, 128)]
STRUCTURAL = ['query-generator', 'denoising', 'recursive', 'one-to-many', 'best']
ANY = pytest.mark.parametrize('name', STRUCTURAL)


def make_samples(counts=(3, 2)) -> list[DetDataSample]:
    return [make_sample(size, n, seed) for seed, (size, n) in enumerate(zip(SIZES, counts, strict=True))]


@ANY
@pytest.mark.parametrize('training', [True, False])
def test_forward_waits_for_nothing(monkeypatch, name, training):
    model = build_upgrade(name).train(training)
    inputs = make_images(SIZES, torch.float32), torch.tensor([[90.0, 64, 90, 64], [128, 50, 128, 50]])
    run_without_values(model.forward_stages, *inputs)
    with torch.set_grad_enabled(training), watch_fetches(monkeypatch, refuse):
        outputs = model.forward_stages(*inputs)
    assert outputs.logits.shape[:3] == (STAGES, 2, PROPOSALS) and outputs.logits.isfinite().all()


@ANY
@pytest.mark.parametrize('counts', [(3, 2), (1, 0), (0, 0)])
def test_loss_fetches_costs_and_nothing_else(monkeypatch, name, counts):
    """Those of the stages, and those of the locations with their numbers."""
    model = build_upgrade(name).train()
    images, samples = make_images(SIZES, torch.float32), make_samples(counts)
    fetched = []
    with watch_fetches(monkeypatch, fetched.append):
        losses = model.loss(images, samples)
        sum(value for name, value in losses.items() if 'loss' in name).backward()
    has_locations = name in ('query-generator', 'best') and any(counts)
    assert fetched == ['cpu', 'numpy'] * (3 if has_locations else 1)


@ANY
def test_checkpointing_learns_the_same(name):
    plain = build_upgrade(name).double().train()
    thrifty = copy.deepcopy(plain)
    thrifty.roi_head.with_cp = True
    for model in (plain, thrifty):
        torch.manual_seed(1)  # for the noise
        losses = model.loss(make_images(SIZES), make_samples())
        sum(value for name, value in losses.items() if 'loss' in name).backward()
    for (weight, parameter), other in zip(plain.named_parameters(), thrifty.parameters(), strict=True):
        assert not parameter.requires_grad or torch.equal(other.grad, parameter.grad), weight


@pytest.mark.parametrize('name', ['one-to-many', 'one-to-many_rising'])
def test_early_stages_of_these_models_match_many(name):
    """Proposals start as the whole image, which is the ground truth here, and no stage moves them."""
    model = build_upgrade(name, spread=False).train()
    for stage in model.roi_head.bbox_head:
        torch.nn.init.zeros_(stage.fc_reg.weight)
    seen = []
    assign = model.criterion.assigner.assign
    model.criterion.assigner.assign = lambda *inputs: seen.append(assign(*inputs)) or seen[-1]
    samples = make_samples((1, 1))
    for sample, (height, width) in zip(samples, SIZES, strict=True):
        sample.gt_instances.bboxes = torch.tensor([[0.0, 0.0, width, height]])
    model.loss(make_images(SIZES, torch.float32), samples)
    (pairs,) = seen
    assert pairs.weight[0].sum() > 4 and pairs.weight[-1].sum() == 2


def test_a_prior_is_added_to_every_class_of_every_stage():
    model = build_upgrade('recursive').double()
    inputs = make_pyramid(), *model.rpn_head(WHWH)
    prior = torch.randn(2, PROPOSALS, 1, dtype=torch.float64)
    plain, raised = model.roi_head(*inputs), model.roi_head(*inputs, prior)
    assert torch.equal(raised.logits, plain.logits + prior)
    assert torch.equal(raised.boxes, plain.boxes)


@pytest.mark.parametrize('training', [True, False])
def test_stages_start_from_the_objectness(training):
    """In training and in detection; a generator that is surer of all makes all scores higher and changes no box."""
    model = build_upgrade('query-generator').double().train(training)
    seen = []
    model.roi_head.register_forward_hook(lambda module, inputs, outputs: seen.append(outputs))
    for _ in range(2):
        if training:
            model.loss(make_images(SIZES), make_samples())
        else:
            model.predict(make_images(SIZES), make_samples())
        model.rpn_head.objectness.bias.data += 1.5
    torch.testing.assert_close(seen[1].logits, seen[0].logits + 1.5)
    assert torch.equal(seen[1].boxes, seen[0].boxes)


class OneImage:
    def __getitem__(self, index: int) -> dict:
        sample = DetDataSample(metainfo=dict(img_shape=(64, 90), ori_shape=(128, 180), scale_factor=(0.5, 0.5)))
        return dict(inputs=torch.randint(256, (3, 64, 90), dtype=torch.uint8), data_samples=sample)


@ANY
def test_pictures_and_times_of_stages(name):
    model = build_upgrade(name).eval()
    image = OneImage()[0]
    batch = dict(inputs=[image['inputs']], data_samples=[image['data_samples']])
    trace = trace_stages(model, SimpleNamespace(batch=batch))
    assert trace.boxes.shape == (STAGES + 1, PROPOSALS, 4) and trace.boxes.isfinite().all()
    assert trace.are_learned == (name not in ('query-generator', 'best'))
    assert [len(seconds) for seconds in measure_latencies(model, OneImage(), rounds=1)] == [1] * STAGES
