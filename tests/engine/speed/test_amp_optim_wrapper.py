"""Mixed precision: what the wrapper adds to mmengine's, and that it steps as mmengine's plain wrapper does."""

import copy

import pytest
import torch
from mmengine.optim import AmpOptimWrapper as MMEngineAmpOptimWrapper
from mmengine.optim import OptimWrapper
from torch import nn

from sparse_rcnn_ext.engine.speed import amp_optim_wrapper
from sparse_rcnn_ext.engine.speed.amp_optim_wrapper import AmpOptimWrapper
from sparse_rcnn_ext.engine.speed.fast_inference import fast_forward_stages
from sparse_rcnn_ext.errors import UserError
from tests.models.small_model import build_model

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason='float16 needs CUDA')
without_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason='about machines without CUDA')
DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'
# The first gradient is far over the limit, so clipping decides.
SETTINGS = {'accumulative_counts': 2, 'clip_grad': {'max_norm': 0.1, 'norm_type': 2}}


def make_wrapper(wrapper_type, model, **settings):
    return wrapper_type(optimizer=torch.optim.AdamW(model.parameters(), lr=0.1), **copy.deepcopy(settings))


def train(wrapper, model, steps, autocast=True):
    """Two backward passes a step on inputs that depend on the step; the model's output is 8 wide."""
    wrapper.initialize_count_status(model, 2 * steps.start, 2 * steps.stop)
    for count in range(2 * steps.start, 2 * steps.stop):
        inputs = torch.sin(torch.arange(32.0).reshape(4, 8) + count).to(DEVICE)
        if autocast:
            with wrapper.optim_context(model):
                loss = model(inputs).float().square().sum()
        else:
            loss = model(inputs).square().sum()
        wrapper.update_params(loss)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Linear(8, 8).to(DEVICE)


def same(first: nn.Module, second: nn.Module) -> bool:
    return all(torch.equal(*pair) for pair in zip(first.state_dict().values(), second.state_dict().values()))


@without_cuda
def test_cpu_takes_bfloat16(model):
    wrapper = make_wrapper(AmpOptimWrapper, model)
    with wrapper.optim_context(model):
        assert model(torch.ones(1, 8)).dtype == torch.bfloat16
    assert model(torch.ones(1, 8)).dtype == torch.float32
    assert not wrapper.loss_scaler.is_enabled()


@without_cuda
def test_float16_without_cuda_is_refused(model):
    with pytest.raises(UserError, match=r'needs CUDA.*--amp bf16'):
        make_wrapper(AmpOptimWrapper, model, dtype='float16')


def test_unknown_dtype_is_refused(model):
    with pytest.raises(UserError, match="'float16' or 'bfloat16'"):
        make_wrapper(AmpOptimWrapper, model, dtype='bf16')


def test_accumulates_and_clips_as_the_plain_wrapper(model):
    plain_model = copy.deepcopy(model)
    start = copy.deepcopy(model)
    train(make_wrapper(AmpOptimWrapper, model, dtype='bfloat16', **SETTINGS), model, range(3), autocast=False)
    train(make_wrapper(OptimWrapper, plain_model, **SETTINGS), plain_model, range(3), autocast=False)
    assert same(model, plain_model)
    assert not same(model, start)


def test_bfloat16_stays_near_float32(model):
    plain_model = copy.deepcopy(model)
    train(make_wrapper(AmpOptimWrapper, model, dtype='bfloat16', **SETTINGS), model, range(3))
    train(make_wrapper(OptimWrapper, plain_model, **SETTINGS), plain_model, range(3), autocast=False)
    assert not same(model, plain_model)
    torch.testing.assert_close(model.weight, plain_model.weight, atol=0.02, rtol=0)


def test_resumes(model):
    uninterrupted = copy.deepcopy(model)
    train(make_wrapper(AmpOptimWrapper, uninterrupted, dtype='bfloat16', **SETTINGS), uninterrupted, range(4))

    first = make_wrapper(AmpOptimWrapper, model, dtype='bfloat16', **SETTINGS)
    train(first, model, range(2))
    saved = copy.deepcopy(first.state_dict())
    second = make_wrapper(AmpOptimWrapper, model, dtype='bfloat16', **SETTINGS)
    second.load_state_dict(saved)
    assert 'loss_scaler' in saved, 'the caller keeps its dict'
    train(second, model, range(2, 4))
    assert same(model, uninterrupted)


def test_resumes_from_a_float32_run(model):
    plain = make_wrapper(OptimWrapper, model, **SETTINGS)
    train(plain, model, range(2), autocast=False)
    wrapper = make_wrapper(AmpOptimWrapper, model, dtype='bfloat16', **SETTINGS)
    wrapper.load_state_dict(plain.state_dict())
    assert wrapper.optimizer.state_dict()['state'][0]['step'] == 2


def scaled_wrapper(model):
    """With the loss scaler of float16, which runs on the CPU too, though float16 training is refused there."""
    wrapper = make_wrapper(AmpOptimWrapper, model, dtype='bfloat16', **SETTINGS)
    wrapper.loss_scaler = torch.amp.GradScaler(DEVICE)
    return wrapper


def test_scaled_run_resumes_from_a_bfloat16_run(model):
    first = make_wrapper(AmpOptimWrapper, model, dtype='bfloat16', **SETTINGS)
    train(first, model, range(2))
    second = scaled_wrapper(model)
    second.load_state_dict(first.state_dict())
    train(second, model, range(2, 3))
    assert second.optimizer.state_dict()['state'][0]['step'] == 3


def test_scaled_gradients_are_clipped_unscaled(model):
    plain_model = copy.deepcopy(model)
    train(scaled_wrapper(model), model, range(3), autocast=False)
    train(make_wrapper(OptimWrapper, plain_model, **SETTINGS), plain_model, range(3), autocast=False)
    for scaled, plain in zip(model.parameters(), plain_model.parameters()):
        torch.testing.assert_close(scaled, plain)


def test_overflow_skips_the_step_and_halves_the_scale(model):
    start = copy.deepcopy(model)
    wrapper = scaled_wrapper(model)
    for _ in range(2):
        wrapper.update_params(model(torch.ones(1, 8, device=DEVICE)).sum() * float('inf'))
    assert same(model, start)
    assert wrapper.loss_scaler.get_scale() == 32768
    other = scaled_wrapper(model)
    other.load_state_dict(wrapper.state_dict())
    assert other.loss_scaler.get_scale() == 32768


@pytest.mark.parametrize(
    ('loss_scale', 'settings', 'constant'),
    [
        ('dynamic', {}, None),
        (512.0, dict(init_scale=512.0), 512.0),
        (dict(init_scale=4.0, growth_interval=9), dict(init_scale=4.0, growth_interval=9), None),
    ],
)
def test_loss_scale_is_mmengine_s(model, monkeypatch, loss_scale, settings, constant):
    """``--amp`` puts this wrapper where a config may have mmengine's, arguments and all."""
    made = []
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.amp, 'GradScaler', lambda device, **arguments: made.append((device, arguments)))
    wrapper = make_wrapper(AmpOptimWrapper, model, dtype='float16', loss_scale=loss_scale, use_fsdp=False)
    assert made == [('cuda', dict(enabled=True, **settings))]
    assert wrapper._scale_update_param == constant


def test_loss_scale_without_float16_is_dropped_with_a_word(model, monkeypatch):
    said = []
    monkeypatch.setattr(amp_optim_wrapper, 'print_log', lambda text, **_: said.append(text))
    monkeypatch.setattr(torch.backends.cpu, 'get_cpu_capability', lambda: 'AVX512')
    train(make_wrapper(AmpOptimWrapper, model, dtype='bfloat16', loss_scale=8.0), model, range(1))
    train(make_wrapper(AmpOptimWrapper, model, dtype='bfloat16', loss_scale='dynamic'), model, range(1))
    assert said == ['optim_wrapper.loss_scale is for float16, and bfloat16 goes without one.']


@pytest.mark.parametrize(
    ('settings', 'sentence'),
    [
        (dict(use_fsdp=True), 'use_fsdp is true'),
        (dict(loss_scale='static'), "loss_scale is 'static': set it to 'dynamic', a number or a dict"),
    ],
)
def test_what_it_cannot_do_is_refused(model, settings, sentence):
    with pytest.raises(UserError, match=sentence):
        make_wrapper(AmpOptimWrapper, model, dtype='bfloat16', **settings)


@needs_cuda
def test_cuda_takes_float16(model):
    wrapper = make_wrapper(AmpOptimWrapper, model)
    with wrapper.optim_context(model):
        assert model(torch.ones(1, 8, device=DEVICE)).dtype == torch.float16
    assert wrapper.loss_scaler.is_enabled()


def test_is_built_by_name(model):
    from mmengine.optim import build_optim_wrapper

    settings = {'type': 'sparse_rcnn_ext.AmpOptimWrapper', 'optimizer': {'type': 'AdamW', 'lr': 0.1}}
    assert type(build_optim_wrapper(model, settings)) is AmpOptimWrapper


@without_cuda
def test_mmengine_alone_refuses_a_cpu(model):
    """What ours is for: this fails when it is no longer needed."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(AssertionError, match='only available'):
        MMEngineAmpOptimWrapper(optimizer=optimizer, dtype='bfloat16')
    AmpOptimWrapper(optimizer, dtype='bfloat16')


SAID = 'This CPU has no AVX-512 and computes bfloat16 in software'


@pytest.fixture
def said(monkeypatch):
    """``said(capability)`` is that CPU from now on; the warnings are in the list that it returns."""
    lines = []
    monkeypatch.setattr(amp_optim_wrapper, 'print_log', lambda text, logger, level: lines.append(text))

    def be(capability: str) -> list[str]:
        monkeypatch.setattr(torch.backends.cpu, 'get_cpu_capability', lambda: capability)
        return lines

    return be


@without_cuda
@pytest.mark.parametrize(('capability', 'number'), [('AVX2', 1), ('AVX512', 0), ('SVE256', 0)])
def test_slow_in_training(said, capability, number):
    lines = said(capability)
    AmpOptimWrapper(torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0), dtype='bfloat16')
    assert len(lines) == number and all(line.startswith(SAID) for line in lines)


@pytest.mark.parametrize(('dtype', 'number'), [('bfloat16', 1), (None, 0)])
def test_slow_in_inference(said, dtype, number):
    lines = said('AVX2')
    fast_forward_stages(build_model(), dtype=dtype)
    assert len(lines) == number
