"""Says which settings a resumed training does not take from its config."""

from collections.abc import Iterable

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.runner.base_loop import BaseLoop

from sparse_rcnn_ext.engine.checkpoints.resuming import RUN_STATE, describe_batch, without_functions
from sparse_rcnn_ext.engine.training.schedule_replay import follow_schedule
from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.registry import HOOKS

# How an optimizer computes, and what a scheduler counts.
_NO_SETTINGS = {'params', 'foreach', 'fused', 'capturable', 'differentiable'}
# What a scheduler adds, and versions of torch since; an optimizer goes on without.
_ADDED = {'initial_lr', 'maximize', 'decoupled_weight_decay'}
_COUNTERS = {'last_step', '_global_step', '_last_value', 'base_values', 'verbose', '_get_value_called_within_step'}


@HOOKS.register_module()
class ResumeChangesHook(Hook):
    """Compares a checkpoint that is resumed with the config, and warns of each difference with both values.

    - Learning rate and other settings of the optimizer: the checkpoint's are used, as in mmengine.
    - Schedulers: the config's are followed, as if they had been from the start; mmengine goes on with the checkpoint's,
      which after their end stay at the last rate.
    - Number of processes, images of each, and accumulated steps: the config's are used, so the learning rate fits
      another batch. mmengine looks for ``gpu_ids``, which no checkpoint has.

    Raises:
        UserError: If the checkpoint's optimizer is of another class, or of other parameters, or if other schedulers
            than before cannot be followed.
    """

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare before the Runner takes over the checkpoint's settings."""
        if not isinstance(runner._train_loop, BaseLoop) or not runner._resume:
            return
        file = runner._load_from
        found = list(_optimizer_changes(runner, checkpoint, file))
        if found:
            runner.logger.warning(
                f'Settings of the config differ from those of {file}, and a resumed training goes on with those of the '
                f'checkpoint: {"; ".join(dict.fromkeys(found))}. '
                f'To use those of the config, start with load_from={file} instead of --resume.'
            )
        # Without an optimizer it has nothing to be followed from.
        if 'optimizer' in checkpoint and (found := list(_scheduler_changes(runner, checkpoint))):
            follow_schedule(runner, checkpoint)
            runner.logger.warning(
                f'The schedule of the config differs from that of {file}, and is followed from here on: '
                f'{"; ".join(dict.fromkeys(found))}.'
            )
        saved, now = (checkpoint.get(RUN_STATE) or {}).get('batch'), describe_batch(runner)
        if saved and saved != now:
            runner.logger.warning(
                f'{file} was saved by a training of {_describe(saved)}, and this one has {_describe(now)}: iterations '
                'per epoch, the order of the data and what the learning rate means differ from now on.'
            )


def _describe(batch: dict[str, int | float]) -> str:
    processes, images, accumulated = batch['processes'], batch['images'], batch['accumulated']
    return (
        f'{processes} (processes) x {images} (images) x {accumulated} (accumulated steps) = '
        f'{processes * images * accumulated:g}'
    )


def _optimizer_changes(runner: Runner, checkpoint: dict, file: str) -> Iterable[str]:
    saved_groups = (checkpoint.get('optimizer') or {}).get('param_groups')
    optimizer = getattr(runner.optim_wrapper, 'optimizer', None)
    if saved_groups is None or optimizer is None:
        return
    groups = optimizer.param_groups
    if len(groups) != len(saved_groups):
        raise UserError(
            f'{file} was saved with {len(saved_groups)} groups of parameters, and the optimizer of the config has '
            f'{len(groups)}: set optim_wrapper as it was, or start with load_from={file} instead of --resume'
        )
    for number, (saved, now) in enumerate(zip(saved_groups, groups)):
        if len(saved['params']) != len(now['params']):
            raise UserError(
                f'{file} was saved with {len(saved["params"])} parameters in group {number} of the optimizer, and with '
                f'the config there are {len(now["params"])}: set the model as it was, or start with load_from={file} '
                'instead of --resume'
            )
        if missing := sorted(now.keys() - saved.keys() - _NO_SETTINGS - _ADDED):
            raise UserError(
                f'{file} was saved by another optimizer, without {", ".join(missing)}, and that of the config is '
                f'{type(optimizer).__name__}: set optim_wrapper as it was, or start with load_from={file} instead of '
                '--resume'
            )
        for key in saved.keys() & now.keys() - _NO_SETTINGS:
            # What a scheduler changes has its start under this name.
            if f'initial_{key}' in saved.keys() & now.keys():
                continue
            then, here = saved[key], now[key]
            if key == 'betas' and 'initial_momentum' in saved.keys() & now.keys():
                then, here = then[1:], here[1:]  # the first is the momentum
            if then != here:
                yield _difference(key.removeprefix('initial_'), saved[key], now[key])


def _scheduler_changes(runner: Runner, checkpoint: dict) -> Iterable[str]:
    saved_all, now_all = _flat(checkpoint.get('param_schedulers')), _flat(runner.param_schedulers)
    if len(saved_all) != len(now_all):
        yield f'number of schedulers {len(now_all)} in the config, {len(saved_all)} in the checkpoint'
    for saved, scheduler in zip(saved_all, now_all):
        # A function, as OneCycleLR has, is no setting, and in no checkpoint of ours.
        saved, now = without_functions(saved), without_functions(scheduler.state_dict())
        name = type(scheduler).__name__
        if saved.keys() != now.keys():
            others = ', '.join(sorted(saved.keys() - now.keys()))
            yield f'{name} in the config, a scheduler with {others} in the checkpoint'
            continue
        for key in sorted(saved.keys() - _COUNTERS):
            if saved[key] != now[key]:
                yield _difference(f'{name}.{key}', saved[key], now[key])


def _flat(schedulers: list | dict | None) -> list:
    """Schedulers, or their states, of one optimizer or of several by name."""
    if isinstance(schedulers, dict):
        return [scheduler for name in sorted(schedulers) for scheduler in schedulers[name]]
    return list(schedulers or [])


def _difference(name: str, saved: object, now: object) -> str:
    return f'{name} {_short(now)} in the config, {_short(saved)} in the checkpoint'


def _short(value: object) -> str:
    # The milestones of MultiStepLR are a Counter.
    return str(sorted(value.elements())) if hasattr(value, 'elements') else str(value)
