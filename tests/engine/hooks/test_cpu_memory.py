"""Memory that a process frees is there for its next tensor."""

import platform
import subprocess
import sys

import pytest
import torch
from mmengine.config import Config

from sparse_rcnn_ext.engine.hooks.cpu_memory import CpuMemoryHook

PROGRAM = """
import ctypes, random, resource, sys
import torch
# PR_SET_THP_DISABLE: where the kernel has huge pages to spare, one fault stands for 512.
ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)
from sparse_rcnn_ext.engine.hooks.cpu_memory import keep_freed_memory
if 'keep' in sys.argv:
    assert keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
random.seed(0)
for step in range(4):
    before = faults()
    tensors = [torch.ones(random.randint(2**16, 2**21)) for _ in range(20)]
    random.shuffle(tensors)
    del tensors
print(faults() - before)
"""

glibc = pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='mallopt is of glibc')


def count_faults(repo_dir, *arguments: str) -> int:
    """Page faults of the fourth step of a process that takes about 85 MiB in 20 tensors, and frees them, each step."""
    command = [sys.executable, '-c', PROGRAM, *arguments]
    run = subprocess.run(command, cwd=repo_dir, capture_output=True, text=True, check=True)
    return int(run.stdout.splitlines()[-1])


@glibc
def test_freed_memory_is_taken_again(repo_dir):
    without, kept = count_faults(repo_dir), count_faults(repo_dir, 'keep')
    assert kept < 2_000 and without > 5 * kept


@pytest.mark.parametrize('has_gpu', [True, False])
def test_only_where_there_is_no_gpu(monkeypatch, has_gpu):
    asked = []
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: has_gpu)
    monkeypatch.setattr('sparse_rcnn_ext.engine.hooks.cpu_memory.keep_freed_memory', lambda: asked.append(1) or True)
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
