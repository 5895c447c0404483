"""The guard beside float16's loss scaler, and on a GPU, which it never waits for."""

import pytest
import torch

from sparse_rcnn_ext.engine.hooks import FiniteLossHook
from sparse_rcnn_ext.engine.speed.amp_optim_wrapper import AmpOptimWrapper
from sparse_rcnn_ext.engine.training import finite_check
from sparse_rcnn_ext.errors import UserError
from tests.engine.hooks.spoilt_training import INF, ITERATIONS, NAN, Spoilt, make_runner, weights
from tests.models.test_synchronisation import refuse, watch_fetches


def scaled(model: Spoilt) -> AmpOptimWrapper:
    """With the loss scaler of float16, which runs on the CPU too, though float16 training is refused there."""
    wrapper = AmpOptimWrapper(torch.optim.AdamW(model.parameters(), 0.01), dtype='bfloat16')
    wrapper.loss_scaler = torch.amp.GradScaler('cpu')
    return wrapper


def test_skips_of_the_loss_scaler_are_no_alarm(tmp_path, reading):
    torch.manual_seed(0)
    model = Spoilt((3, 4, 6), 'gradient')
    wrapper = scaled(model)
    make_runner(tmp_path, model, optim_wrapper=wrapper).train()
    assert model.count == ITERATIONS
    assert wrapper.loss_scaler.get_scale() == 65536 / 2**3
    assert wrapper.optimizer.state_dict()['state'][0]['step'] == ITERATIONS - 3
    assert weights(model).isfinite().all()


@pytest.mark.parametrize('how', [NAN, INF])
def test_a_loss_is_one_under_a_scaler_too(tmp_path, reading, how):
    model = Spoilt((6,), how)
    with pytest.raises(UserError, match=r'iteration 6, .*s1\.loss_bbox is '):
        make_runner(tmp_path, model, optim_wrapper=scaled(model)).train()
    assert weights(model).isfinite().all()


def test_endless_skips_are_one(tmp_path, reading):
    model = Spoilt((2, 4, 5, 6, 7, 8), 'gradient')
    with pytest.raises(UserError, match=r'iteration 6, .*bbox_head\.1\.bias \(stage 1.*3 steps in a row, whatever'):
        make_runner(tmp_path, model, optim_wrapper=scaled(model), custom_hooks=[FiniteLossHook(max_skips=3)]).train()


def test_never_waits_for_the_device(monkeypatch):
    """Neither looking at a backward pass nor a step hands a value to Python."""
    monkeypatch.setattr(finite_check, 'runs_ahead', lambda loss: True)
    model = Spoilt()
    hook = FiniteLossHook()
    wrapper = AmpOptimWrapper(torch.optim.SGD(model.parameters(), 0.1), dtype='bfloat16')
    backward, step = type(wrapper).backward.__get__(wrapper), type(wrapper).step.__get__(wrapper)
    losses = model([torch.ones(3)], [])
    loss = sum(value for name, value in losses.items() if 'loss' in name)
    with watch_fetches(monkeypatch, refuse):
        hook._backward(None, wrapper, backward, loss)
        hook._step(wrapper, step)
    with watch_fetches(monkeypatch, refuse), pytest.raises(AssertionError, match='tolist'):
        hook._checks[0].read()


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device: only there does anything wait')
@pytest.mark.parametrize('how', [NAN, 'gradient'])
def test_on_a_gpu(tmp_path, how):
    torch.manual_seed(0)
    model = Spoilt((6,), how)
    with pytest.raises(UserError, match='iteration 6, '):
        make_runner(tmp_path, model).train()
    assert model.count == 7
    assert weights(model).isfinite().all()
