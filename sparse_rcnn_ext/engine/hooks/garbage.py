"""Frees at once what a checkpoint and a validation leave."""

import ctypes
import gc

from mmengine.hooks import Hook
from mmengine.runner import Runner

from sparse_rcnn_ext.registry import HOOKS

OF_PYTHON = 10_000
"""Objects; some versions of Python set a few hundred aside when they start."""


@HOOKS.register_module()
class GarbageHook(Hook):
    """Collects garbage after every checkpoint and every validation.

    ``torch.save`` and COCO's evaluation leave circular references. Python would find them at its next full collection,
    which comes seldom with half a million objects of imported modules: until then the copies of weights and optimizer
    that were saved stay in memory, and the heap grows around them.

    What was there before the first step outlives the training, and is not looked at again: a collection takes a few
    milliseconds, and 0.2 s otherwise, more than a small checkpoint does.

    It then hands back to the system what is free: a heap that a checkpoint has split up would otherwise take fresh
    memory for the next one. CpuMemoryHook keeps freed memory between the steps of the training; this is between epochs.
    """

    # After the checkpoint is written.
    priority = 'LOWEST'

    def __init__(self) -> None:
        self._is_due = False
        self._has_frozen = False

    def before_train(self, runner: Runner) -> None:
        """Set aside what is there, unless somebody else has done so and counts on it."""
        if gc.get_freeze_count() < OF_PYTHON:
            gc.collect()
            gc.freeze()
            self._has_frozen = True

    def after_train(self, runner: Runner) -> None:
        """Let it be garbage again."""
        if self._has_frozen:
            gc.unfreeze()
            self._has_frozen = False

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Remember that there will be garbage."""
        self._is_due = True

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        """Collect it."""
        self._collect()

    def after_train_epoch(self, runner: Runner) -> None:
        """Collect it."""
        self._collect()

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Collect that of the validation, too."""
        self._is_due = True
        self._collect()

    def _collect(self) -> None:
        if self._is_due:
            self._is_due = False
            gc.collect()
            _return_freed_memory()


def _return_freed_memory() -> None:
    trim = getattr(ctypes.CDLL(None), 'malloc_trim', None)
    # Other C libraries than glibc lack it.
    if trim is not None:
        trim(0)
