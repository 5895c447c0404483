"""Runs on a CPU keep the memory that they free."""

import ctypes

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from sparse_rcnn_ext.registry import HOOKS

# From glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
NEVER = 2**31 - 1


@HOOKS.register_module()
class CpuMemoryHook(Hook):
    """Tells glibc to reuse freed memory instead of handing it back to the system, where nothing runs on a GPU.

    Left alone, glibc returns every large tensor at once, and the next one of that size costs a page fault for each
    4 KiB: a third of a training step of Sparse R-CNN on two cores. The process is about as large at its peak as it was,
    but it stays at that size until it ends.
    """

    def before_run(self, runner: Runner) -> None:
        """Set it for the process of the run, once."""
        if not torch.cuda.is_available() and not keep_freed_memory():
            runner.logger.debug('This C library is not glibc: freed memory goes back to the system at once.')


def keep_freed_memory() -> bool:
    """Let malloc take all memory from its heap and never shrink it; return whether this C library can."""
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
    return mallopt is not None and bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, NEVER))
