"""Stops a training before a loss or gradient that is not finite spoils its weights."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner
from torch import Tensor

from sparse_rcnn_ext.engine.checkpoints.resuming import unwrapped
from sparse_rcnn_ext.engine.training.finite_check import FiniteCheck, ill_weights
from sparse_rcnn_ext.engine.training.non_finite import (
    ANOTHER_PROCESS,
    describe_gradients,
    describe_losses,
    ill_losses,
    ill_weights_error,
    stop,
)
from sparse_rcnn_ext.registry import HOOKS


class _Iteration(NamedTuple):
    """What must be known of an iteration once its checks are read."""

    number: int
    checks: list[FiniteCheck]
    skippable: bool
    data_batch: object
    outputs: dict | None


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Where a loss or gradient is not finite, the optimizer takes no step, and the training ends with an error that
    names losses, stages and images. mmengine and mmdet alone go on with NaN, and save it.

    The batch is saved as ``non_finite/iter_N.pt`` in the run's folder (``torch.load`` gives a dict of tensors and plain
    containers; ``tools/analysis/replay_batch.py`` replays it), and checkpoints are left as they are: one whose weights
    are not finite is never written.

    On a CPU this is seen at once. On a GPU nothing waits for it: the step gets gradients that the device itself sets
    to zero, and what the device found is read an iteration later, or before a checkpoint or a validation. Of several
    processes all stop in the same iteration; those that have found something say what.

    A step that float16's loss scaler skips, since gradients overflowed under its scale, is no alarm, unless as many
    follow one another that the scale cannot be the reason.

    Args:
        max_skips: So many. Each halves the scale, which starts at 65536 = 2¹⁶.

    Raises:
        UserError: When something is not finite.
    """

    # Before any hook that saves.
    priority = 'VERY_HIGH'

    def __init__(self, max_skips: int = 32) -> None:
        self.max_skips = max_skips
        self._skips = 0
        self._number = 0
        self._checks: list[FiniteCheck] = []
        self._stepped = False
        self._unread: _Iteration | None = None
        self._has_checked = False
        self._wrappers: list[OptimWrapper] = []

    def before_train(self, runner: Runner) -> None:
        """Look at every backward pass and every step."""
        self._has_checked = False
        wrapper = runner.optim_wrapper
        wrappers = wrapper.optim_wrappers.values() if isinstance(wrapper, OptimWrapperDict) else [wrapper]
        self._wrappers = [wrapper for wrapper in wrappers if isinstance(wrapper, OptimWrapper)]
        for wrapper in self._wrappers:
            wrapper.backward = partial(self._backward, runner, wrapper, wrapper.backward)
            wrapper.step = partial(self._step, wrapper, wrapper.step)

    def _backward(self, runner: Runner, wrapper: OptimWrapper, backward: Callable, loss: Tensor, **settings) -> None:
        self._read(runner)
        backward(loss, **settings)
        self._checks.append(FiniteCheck(loss, [p for g in wrapper.optimizer.param_groups for p in g['params']]))

    def _step(self, wrapper: OptimWrapper, step: Callable, **settings) -> None:
        self._stepped = True
        for check in self._checks:
            # The scaler itself looks at the gradients.
            ill = check.ill_loss if _scales(wrapper) else check.ill_loss | check.ill_gradient
            if check.is_late:
                for gradient in check.gradients:
                    gradient.masked_fill_(ill, 0)
            elif ill:
                return
        step(**settings)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: object = None, outputs: dict | None = None
    ) -> None:
        """Stop, where the device need not be waited for."""
        skippable = any(_scales(wrapper) for wrapper in self._wrappers)
        self._number = runner.iter + 1
        self._unread = _Iteration(self._number, self._checks, skippable, data_batch, outputs)
        self._checks = []
        if not any(check.is_late for check in self._unread.checks):
            self._read(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Read what is left."""
        self._read(runner)

    def before_val_epoch(self, runner: Runner) -> None:
        """Read what is left."""
        self._read(runner)

    def before_save_on_all_ranks(self, runner: Runner) -> None:
        """Keep NaN out of a checkpoint."""
        self._check_weights(runner)
        self._has_checked = True

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep NaN out of a checkpoint that another hook than ours saves."""
        if not self._has_checked:
            self._check_weights(runner)
        self._has_checked = False

    def after_train(self, runner: Runner) -> None:
        """Leave the optimizer as it was."""
        self._read(runner)
        for wrapper in self._wrappers:
            del wrapper.backward, wrapper.step
        self._wrappers = []

    def _read(self, runner: Runner) -> None:
        iteration, self._unread = self._unread, None
        if iteration is None:
            return
        stepped, self._stepped = self._stepped, False
        flags = [check.read() for check in iteration.checks]
        own_loss, _, any_loss, any_gradient = map(any, zip(*flags)) if flags else (False,) * 4
        if iteration.skippable and not any_loss:
            if stepped:
                self._skips = self._skips + 1 if any_gradient else 0
            if self._skips < self.max_skips:
                return
        if not any_loss and not any_gradient:
            return
        losses = ill_losses(iteration.outputs) if own_loss else {}
        if own_loss:
            found = describe_losses(losses)
        elif any_loss:
            found = f'{ANOTHER_PROCESS}, see its message'
        else:
            parameters = [parameter for check in iteration.checks for parameter in check.ill_parameters()]
            found = describe_gradients(unwrapped(runner), parameters)
            if self._skips:
                found += f', {self._skips} steps in a row, whatever the scale of the loss'
        raise stop(runner, found, iteration.number, iteration.data_batch, losses)

    def _check_weights(self, runner: Runner) -> None:
        self._read(runner)
        names = ill_weights(unwrapped(runner))
        # A checkpoint that is saved before the training, or after it, has nothing to do with it.
        if names and self._wrappers:
            raise ill_weights_error(runner, names, self._number)


def _scales(wrapper: OptimWrapper) -> bool:
    scaler = getattr(wrapper, 'loss_scaler', None)
    return scaler is not None and scaler.is_enabled()
