"""SIGTERM and Ctrl-C save a checkpoint before they end a training."""

import atexit
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from multiprocessing import RawValue
from types import FrameType

import torch
from mmengine.dist import get_world_size
from mmengine.hooks import EMAHook, Hook
from mmengine.runner import Runner
from mmengine.runner.base_loop import BaseLoop
from torch import distributed

from sparse_rcnn_ext.engine.checkpoints.resuming import job_name
from sparse_rcnn_ext.engine.training.workers import restore_at_fork
from sparse_rcnn_ext.registry import HOOKS

from .atomic_checkpoint import AtomicCheckpointHook

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@HOOKS.register_module()
class StopSignalHook(Hook):
    """After a signal the training finishes its iteration, saves a checkpoint, says so, and exits with 128 + the signal.

    With several processes one that got it is enough: they agree over gloo, an iteration later so that none waits for
    the others, and stop after the same iteration. In a validation, one process saves at once what the training
    reached, several stop in the next training iteration. A second Ctrl-C stops at once. Workers of data loaders leave
    it to their process to stop them.

    It needs an AtomicCheckpointHook, and the main thread; without them signals do what they always do.

    Raises:
        SystemExit: When the checkpoint is saved.
    """

    # Last in an iteration.
    priority = 'LOWEST'

    def __init__(self) -> None:
        self._signal = 0
        self._previous: dict = {}
        self._group: object = None
        self._asked: tuple | None = None

    def before_train(self, runner: Runner) -> None:
        """Take over the signals."""
        self._saver = next((hook for hook in runner.hooks if isinstance(hook, AtomicCheckpointHook)), None)
        if self._saver is None or threading.current_thread() is not threading.main_thread():
            return
        self._signal, self._asked = 0, None
        if get_world_size() > 1:
            # NCCL would need a wait for the GPU each time.
            self._group = distributed.new_group(backend='gloo')
        self._ends = RawValue('b', False)
        # Before multiprocessing sends its SIGTERM to the workers, and waits for them.
        atexit.register(setattr, self._ends, 'value', True)
        for loop in (runner._train_loop, runner._val_loop):
            if isinstance(loop, BaseLoop):
                then = loop.dataloader.worker_init_fn
                loop.dataloader.worker_init_fn = partial(leave_signals, then, self._ends)
        self._previous = {number: signal.getsignal(number) for number in SIGNALS}
        # Those of a Pool are ended by SIGTERM.
        restore_at_fork(self._previous, self._note)
        for number in SIGNALS:
            signal.signal(number, self._note)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: object = None, outputs: dict | None = None
    ) -> None:
        """Stop, if all processes know of a signal."""
        if self._previous:
            number = self._agree()
            if number:
                self._stop(runner, number, runner.iter + 1)

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: object = None, outputs: object = None) -> None:
        """Stop a process that is alone."""
        if self._previous and self._signal and self._group is None:
            for hook in runner.hooks:
                if isinstance(hook, EMAHook):
                    # The model has the averaged weights during a validation.
                    hook.after_val_epoch(runner)
            self._stop(runner, self._signal, runner.iter)

    def after_train(self, runner: Runner) -> None:
        """Give the signals back."""
        if self._previous:
            self._settle()
            self._give_back()

    def _note(self, number: int, frame: FrameType | None) -> None:
        # The training has ended in an error.
        if not _is_training(frame):
            signal.signal(number, self._previous.get(number) or signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        # torchrun passes on what the terminal has sent already.
        if self._signal and number == signal.SIGINT and job_name() is None:
            self._give_back()
            raise KeyboardInterrupt
        self._signal = number
        # Nothing else may be called here: the signal may have come within logging. Ctrl-C ends a `| tee log` first.
        with suppress(OSError):
            os.write(2, f'{signal.Signals(number).name}: saving a checkpoint after this iteration\n'.encode())

    def _agree(self) -> int:
        """The signal that any process got before it finished the iteration before; alone, the own one at once."""
        if self._group is None:
            return self._signal
        number = self._settle()
        flag = torch.tensor([self._signal])
        self._asked = (distributed.all_reduce(flag, distributed.ReduceOp.MAX, group=self._group, async_op=True), flag)
        return number

    def _settle(self) -> int:
        if self._asked is None:
            return 0
        work, flag = self._asked
        work.wait()
        self._asked = None
        return int(flag)

    def _stop(self, runner: Runner, number: int, iteration: int) -> None:
        path = self._saver.save_now(runner, runner.epoch, iteration)
        self._settle()
        self._give_back()
        runner.logger.warning(
            f'Stopped by {signal.Signals(number).name} after iteration {iteration}, saved as {path}: '
            '--resume goes on from there.'
        )
        raise SystemExit(128 + number)

    def _give_back(self) -> None:
        for number, handler in self._previous.items():
            # None: the handler is one that Python did not set, and cannot give back.
            signal.signal(number, handler or signal.SIG_DFL)
        self._previous = {}
        restore_at_fork({})
        self._ends.value = True


def _is_training(frame: FrameType | None) -> bool:
    while frame is not None and frame.f_code is not Runner.train.__code__:
        frame = frame.f_back
    return frame is not None


def leave_signals(then: Callable[[int], None] | None, ends: object, worker: int) -> None:
    """Start a data loader's worker that outlives signals which its whole process group, or job of Slurm, gets.

    Its process still needs it for the iteration that it finishes.

    Args:
        then: The ``worker_init_fn`` that the loader had.
        ends: A value that all processes share: True when the training is over, and SIGTERM is to end the worker.
        worker: The number of the worker.
    """
    signal.signal(signal.SIGTERM, partial(_end, ends))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if then is not None:
        then(worker)


def _end(ends: object, number: int, frame: FrameType | None) -> None:
    if ends.value:
        # As torch's own handler, lest its process takes it for an accident.
        os._exit(0)
