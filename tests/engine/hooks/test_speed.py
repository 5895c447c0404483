"""The hook that compiles for a training."""

import copy
import ctypes
import logging
import platform
import random
import resource
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import EMAHook
from mmengine.runner.priority import get_priority

from sparse_rcnn_ext.engine.hooks import CompileHook, FastInferenceHook
from sparse_rcnn_ext.engine.hooks.speed import CpuMemoryHook, keep_freed_memory
from tests.engine.speed.test_fast_inference import SHALLOW, detect
from tests.models.small_model import build_model


def test_on_for_the_training_only():
    runner = SimpleNamespace(model=build_model(SHALLOW), logger=logging.getLogger('test'))
    hook = CompileHook(dict(backend='eager'))
    hook.before_train(runner)
    assert 'forward' in vars(runner.model.roi_head.bbox_head[-1])
    hook.after_train(runner)
    assert 'forward' not in vars(runner.model.roi_head.bbox_head[-1])


@pytest.fixture
def runner():
    return SimpleNamespace(model=build_model(SHALLOW).eval(), logger=logging.getLogger('test'))


def test_on_for_the_test_only(runner):
    expected = detect(runner.model)
    hook = FastInferenceHook(fuse_conv_bn=True, dtype='bfloat16')
    hook.before_test_epoch(runner)
    fast = detect(runner.model)
    hook.after_test_epoch(runner)
    assert not torch.equal(fast[0].scores, expected[0].scores)
    assert torch.equal(detect(runner.model)[0].scores, expected[0].scores)


def test_tests_averaged_weights(runner):
    average = EMAHook()
    average.before_run(runner)
    averaged = copy.deepcopy(runner.model)
    with torch.no_grad():
        for parameter in runner.model.parameters():
            parameter.mul_(1.1)
    own = copy.deepcopy(runner.model.state_dict())

    hook = FastInferenceHook(fuse_conv_bn=True)
    assert get_priority(hook.priority) > get_priority(average.priority)  # so that it comes after, as below
    average.before_test_epoch(runner)
    hook.before_test_epoch(runner)
    found = detect(runner.model)
    average.after_test_epoch(runner)
    hook.after_test_epoch(runner)
    for fast, plain in zip(found, detect(averaged), strict=True):
        torch.testing.assert_close(fast.scores, plain.scores, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(fast.bboxes, plain.bboxes, rtol=1e-3, atol=1e-3)
    assert all(torch.equal(value, own[name]) for name, value in runner.model.state_dict().items())


PR_SET_THP_DISABLE = 41


def print_faults(arguments: list[str]) -> None:
    """Page faults of the fourth step of a process that takes about 170 MiB in four tensors, and frees them, each step.

    Each is larger than 32 MiB: of smaller ones glibc keeps some by itself, depending on what was freed before.
    """
    # Where the kernel has huge pages to spare, one fault stands for 512.
    ctypes.CDLL(None).prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0)
    if 'keep' in arguments:
        assert keep_freed_memory()
    generator, sizes = random.Random(0), [9, 10, 11, 12]
    for _ in range(4):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        tensors = [torch.ones(size * 2**20) for size in sizes]
        generator.shuffle(tensors)
        generator.shuffle(sizes)
        del tensors
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)


glibc = pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='mallopt is of glibc')


@glibc
def test_freed_memory_is_taken_again(run_process, tmp_path):
    """In processes that have changed nothing yet about how they take memory."""
    faults = []
    for arguments in ([], ['keep']):
        code, printed = run_process(__file__, arguments, tmp_path, call=print_faults.__name__)
        assert code == 0, printed
        faults.append(int(printed.splitlines()[-1]))
    without, kept = faults
    assert kept < 2_000 and without > 5 * kept


@pytest.mark.parametrize('has_gpu', [True, False])
def test_only_where_there_is_no_gpu(monkeypatch, has_gpu):
    asked = []
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: has_gpu)
    monkeypatch.setattr('sparse_rcnn_ext.engine.hooks.speed.keep_freed_memory', lambda: asked.append(1) or True)
    CpuMemoryHook().before_run(runner=None)
    assert len(asked) == (not has_gpu)


def test_another_c_library_is_no_error(monkeypatch):
    monkeypatch.setattr('ctypes.CDLL', lambda name: object())
    said = []
    logger = type('Logger', (), {'debug': lambda self, text: said.append(text)})()
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    CpuMemoryHook().before_run(type('Runner', (), {'logger': logger})())
    assert said == ['This C library is not glibc: freed memory goes back to the system at once.']


def test_on_by_default(repo_dir):
    cfg = Config.fromfile(repo_dir / 'configs/_base_/default_runtime.py')
    assert cfg.default_hooks.cpu_memory.type == 'sparse_rcnn_ext.CpuMemoryHook'
