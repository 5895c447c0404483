"""What makes a run faster or smaller: compilation, the fast forward pass, memory kept, garbage freed in time."""

import ctypes
import gc

import torch
from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import Runner

from sparse_rcnn_ext.engine.speed.compilation import compile_for_training, undo_compile_for_training
from sparse_rcnn_ext.engine.speed.fast_inference import fast_forward_stages
from sparse_rcnn_ext.registry import HOOKS


@HOOKS.register_module()
class CompileHook(Hook):
    """Compiles the parts of a SparseRCNN before it trains, see :func:`compile_for_training`.

    Args:
        options: Arguments of ``torch.compile``; True for none.
    """

    def __init__(self, options: bool | dict = True) -> None:
        self.options = options

    def before_train(self, runner: Runner) -> None:
        """Compile; the code itself is made in the first steps."""
        compile_for_training(_detector(runner), self.options)
        runner.logger.info('Backbone, neck and stages are compiled: the first steps take a minute or more.')

    def after_train(self, runner: Runner) -> None:
        """Leave the detector as it was."""
        undo_compile_for_training(_detector(runner))


@HOOKS.register_module()
class FastInferenceHook(Hook):
    """Tests with the fast forward pass of a SparseRCNN; for the arguments see :func:`fast_forward_stages`."""

    # After the EMAHook, which puts averaged weights into the model before a test.
    priority = 'LOWEST'

    def __init__(
        self,
        fuse_conv_bn: bool = False,
        channels_last: bool = True,
        dtype: str | None = None,
        compile: bool | dict = False,
    ) -> None:
        self.settings = dict(fuse_conv_bn=fuse_conv_bn, channels_last=channels_last, dtype=dtype, compile=compile)

    def before_test_epoch(self, runner: Runner) -> None:
        """Switch on."""
        detector = _detector(runner)
        detector.forward_stages = fast_forward_stages(detector, **self.settings)
        runner.logger.info(f'Fast inference: {self.settings}')

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Switch off."""
        del _detector(runner).forward_stages


def _detector(runner: Runner):
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    return model.module if isinstance(model, BaseTTAModel) else model


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
