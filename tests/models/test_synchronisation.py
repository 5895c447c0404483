"""The forward pass never waits for the device, and the loss fetches from it once."""

from collections.abc import Callable
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)

from sparse_rcnn_ext.models.targets import pack_image_whwh
from tests.models.small_model import build_model, make_images, make_sample

SIZES = [(64, 90), (50, 128)]
# Each hands values of a tensor to Python; on a GPU all of them wait for it.
TO_HOST = ('cpu', 'numpy', 'tolist', 'item', '__bool__', '__int__', '__float__', '__index__', '__array__')


class FetchedError(AssertionError):
    """A value was fetched where none may be."""


@contextmanager
def watch_fetches(monkeypatch: pytest.MonkeyPatch, on_fetch: Callable[[str], None]):
    """Call ``on_fetch`` with the name of every method that brings a tensor to the host."""

    def watched(name: str) -> Callable:
        original = getattr(Tensor, name)

        def method(self, *args, **kwargs):
            on_fetch(name)
            with monkeypatch.context() as inner:  # .tolist() of a CPU tensor is no second fetch
                for other in TO_HOST:
                    inner.setattr(Tensor, other, originals[other])
                return original(self, *args, **kwargs)

        return method

    originals = {name: getattr(Tensor, name) for name in TO_HOST}
    with monkeypatch.context() as patch:
        for name in TO_HOST:
            patch.setattr(Tensor, name, watched(name))
        yield


def refuse(name: str) -> None:
    raise FetchedError(name)


def run_without_values(function: Callable[..., object], *inputs: Tensor) -> None:
    """Run on tensors that have shapes but no values, so that whatever depends on a value raises."""
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        function(*(mode.from_tensor(value) for value in inputs))


@pytest.mark.parametrize('training', [True, False])
def test_forward_needs_no_value(training):
    model = build_model().train(training)
    run_without_values(model.forward_stages, make_images(SIZES, torch.float32), torch.ones(2, 4) * 64)


@pytest.mark.parametrize('training', [True, False])
def test_forward_fetches_nothing(monkeypatch, training):
    model = build_model().train(training)
    inputs, whwh = make_images(SIZES, torch.float32), torch.ones(2, 4) * 64
    with torch.set_grad_enabled(training), watch_fetches(monkeypatch, refuse):
        outputs = model.forward_stages(inputs, whwh)
    assert outputs.logits.isfinite().all()


VALUE_DEPENDENT = {
    'item': lambda x: x.sum().item(),
    'branch': lambda x: 1 if x.sum() > 0 else 2,
    'nonzero': lambda x: x.nonzero(),
    'mask': lambda x: x[x > 0],
    'unique': lambda x: x.unique(),
    'where': lambda x: torch.where(x > 0),
    'repeats': lambda x: x.repeat_interleave(x.long()),
    'python range': lambda x: range(x.long().max()),
    'slice': lambda x: x[: x.long().max()],
}


@pytest.mark.parametrize('function', VALUE_DEPENDENT.values(), ids=VALUE_DEPENDENT)
def test_the_check_finds_what_depends_on_values(function):
    with pytest.raises((DataDependentOutputException, DynamicOutputShapeException)):
        run_without_values(function, torch.ones(3))


@pytest.mark.parametrize('name', ['cpu', 'numpy', 'tolist', 'item'])
def test_the_check_finds_fetches(monkeypatch, name):
    with watch_fetches(monkeypatch, refuse), pytest.raises(FetchedError, match=name):
        getattr(torch.ones(1), name)()


def test_the_check_finds_hidden_fetches(monkeypatch):
    with watch_fetches(monkeypatch, refuse), pytest.raises(FetchedError, match='__bool__'):
        assert torch.ones(1).sum() > 0


@pytest.mark.parametrize('counts', [(3, 2), (1, 0), (0, 0)])
def test_loss_fetches_once(monkeypatch, counts):
    model = build_model().train()
    samples = [make_sample(size, n, seed) for seed, (size, n) in enumerate(zip(SIZES, counts, strict=True))]
    inputs = make_images(SIZES, torch.float32)
    fetched = []
    with watch_fetches(monkeypatch, fetched.append):
        losses = model.loss(inputs, samples)
        total = sum(value for name, value in losses.items() if 'loss' in name)
        total.backward()
    # What .cpu() left on the host is read from there.
    assert fetched == ['cpu', 'numpy']


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device: only there does anything wait')
def test_forward_on_a_gpu():
    model = build_model().cuda().train()
    inputs = make_images(SIZES, torch.float32).cuda()
    samples = [make_sample(size, 0) for size in SIZES]
    model.forward_stages(inputs, pack_image_whwh(samples, inputs))  # libraries set themselves up once
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode('error')
    try:
        model.forward_stages(inputs, pack_image_whwh(samples, inputs))
    finally:
        torch.cuda.set_sync_debug_mode('default')
