"""Compiled parts in a training."""

import copy

import pytest
import torch
from mmengine.config import Config
from torch._dynamo.testing import CompileCounterWithBackend
from torch._inductor import cpp_builder, exc

from sparse_rcnn_ext.engine.speed import compilation
from sparse_rcnn_ext.engine.speed.compilation import (
    compile_for_training,
    compiled,
    switch_compile,
    undo_compile_for_training,
)
from sparse_rcnn_ext.errors import UserError
from tests.configs.ablation_rows import build_upgrade
from tests.models.small_model import STAGES, build_model, make_images, make_sample

SHALLOW = {'model.backbone.depth': 18, 'model.neck.in_channels': [4, 8, 16, 32], 'model.roi_head.num_stages': 3}
SIZES = [(64, 64), (64, 96), (96, 128), (128, 96), (160, 192), (192, 160), (96, 96), (64, 64)]


@pytest.fixture(autouse=True)
def no_graphs_of_others():
    torch._dynamo.reset()


def step(model, sizes, amp: bool = False) -> dict:
    """Losses, and gradients in the model."""
    model.train().zero_grad()
    samples = [make_sample(size, 3, seed) for seed, size in enumerate(sizes)]
    with torch.autocast('cpu', dtype=torch.bfloat16, enabled=amp):
        losses = model.loss(make_images(sizes, next(model.parameters()).dtype), samples)
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    return losses


def test_few_graphs_for_many_sizes():
    """Neither a size nor a stage costs a graph of its own, and nothing breaks a graph in two."""
    model = build_model(SHALLOW)
    counter = CompileCounterWithBackend('eager')
    compile_for_training(model, dict(backend=counter, fullgraph=True))
    counts = []
    for size in SIZES:
        step(model, [size, size])
        counts.append(counter.frame_count)
    # At first backbone with neck, the RoIs' rows, a stage, and one of proposals that need no gradient; then sizes.
    assert counts[0] <= 4
    assert counts[2] <= counts[0] + 2
    assert counts[-1] == counts[2]


def test_more_stages_cost_no_graphs():
    """torch gives up after eight graphs of one function."""
    model = build_model({**SHALLOW, 'model.roi_head.num_stages': 12})
    counter = CompileCounterWithBackend('eager')
    compile_for_training(model, dict(backend=counter, fullgraph=True))
    step(model, SIZES[:1])
    assert counter.frame_count <= 4


@pytest.mark.parametrize('amp', [False, True], ids=['float64', 'bf16'])
def test_losses_and_gradients(amp):
    """Through the graphs of forward and backward; aot_eager has all of the default backend but its code."""
    plain = build_model(SHALLOW).to(torch.float32 if amp else torch.float64)
    fast = copy.deepcopy(plain)
    compile_for_training(fast, dict(backend='aot_eager', fullgraph=True))
    tolerance = 2e-2 if amp else 1e-9
    expected, found = step(plain, SIZES[1:2], amp), step(fast, SIZES[1:2], amp)
    for name, value in expected.items():
        assert found[name].item() == pytest.approx(value.item(), rel=tolerance), name
    expected, found = dict(plain.named_parameters()), dict(fast.named_parameters())
    assert found.keys() == expected.keys()
    for name, parameter in expected.items():
        if parameter.requires_grad:
            difference = (found[name].grad - parameter.grad).norm()
            assert difference <= 5 * tolerance * parameter.grad.norm() + 1e-12, name


def test_names_stay_and_undo_undoes():
    model = build_model(SHALLOW)
    names = list(model.state_dict())
    compile_for_training(model, dict(backend='eager'))
    assert list(model.state_dict()) == names
    assert 'extract_feat' in vars(model)
    undo_compile_for_training(model)
    assert 'extract_feat' not in vars(model)
    assert all('forward' not in vars(module) for module in model.modules())


def test_a_stage_that_runs_again_is_compiled_once(monkeypatch):
    seen = []
    monkeypatch.setattr(compilation, 'compiled', lambda method, device, options: seen.append(method) or method)
    model = build_upgrade('recursive')
    compile_for_training(model)
    owners = [model, model.roi_head.roi_features, *model.roi_head.bbox_head.children()]
    assert [method.__self__ for method in seen] == owners and len(seen) == 4 < 2 + STAGES


def test_validation_compiles_nothing():
    model = build_model(SHALLOW).eval()
    counter = CompileCounterWithBackend('eager')
    compile_for_training(model, dict(backend=counter))
    with torch.no_grad():
        model.predict(make_images(SIZES[:1], torch.float32), [make_sample(SIZES[0], 0)])
    assert counter.frame_count == 0


@pytest.mark.slow
def test_code_of_the_default_backend():
    """One stage, through inductor's own code, against eager."""
    stage = build_model({**SHALLOW, 'model.roi_head.num_stages': 1}).roi_head.bbox_head[0]
    fast = compiled(stage.forward, torch.device('cpu'), True)
    results = []
    for forward in (stage.forward, fast):
        generator = torch.Generator().manual_seed(0)
        inputs = [torch.randn(shape, generator=generator) for shape in [(20, 49, 16), (2, 10, 16)]]
        inputs = [value.requires_grad_() for value in inputs]
        boxes = torch.rand(2, 10, 4, generator=generator) * 30 + torch.tensor([0.0, 0, 40, 40])
        stage.zero_grad()
        outputs = forward(*inputs, boxes)
        sum(value.square().mean() for value in outputs).backward()
        gradients = [parameter.grad for parameter in stage.parameters()]
        results.append([*outputs, *(value.grad for value in inputs), *gradients])
    for plain, found in zip(*results, strict=True):
        torch.testing.assert_close(found, plain, rtol=1e-4, atol=1e-4 * plain.abs().max().item())


def test_without_a_compiler(monkeypatch):
    def find():
        raise exc.InvalidCxxCompiler

    monkeypatch.setattr(cpp_builder, 'get_cpp_compiler', find)
    monkeypatch.setenv('CXX', 'missing++')
    with pytest.raises(UserError, match=r'no C\+\+ compiler missing\+\+.*leave --compile'):
        compiled(len, torch.device('cpu'), True)
    assert compiled(len, torch.device('cpu'), dict(backend='eager'))([1]) == 1


def test_wrong_options():
    with pytest.raises(UserError, match='speed'):
        compiled(len, torch.device('cpu'), dict(backend='eager', speed=2))
    with pytest.raises(UserError, match='the model is a Linear'):
        compile_for_training(torch.nn.Linear(1, 1))


@pytest.mark.parametrize(
    ('config', 'switch', 'options'),
    [
        ({}, False, None),
        ({}, True, True),
        (dict(compile=False), True, True),
        (dict(compile=dict(mode='x')), False, dict(mode='x')),
    ],
)
def test_switch(config, switch, options):
    cfg = Config(dict(config, default_hooks=dict(timer=dict(type='IterTimerHook'))))
    switch_compile(cfg, switch)
    assert 'compile' not in cfg  # mmengine would act on it
    assert cfg.default_hooks.get('compile', {}).get('options') == options
