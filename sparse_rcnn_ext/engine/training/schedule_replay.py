"""Brings the schedule of a config to where a resumed training is."""

import warnings

from mmengine.optim.scheduler.param_scheduler import ReduceOnPlateauParamScheduler
from mmengine.runner import EpochBasedTrainLoop, Runner

from sparse_rcnn_ext.errors import UserError


def follow_schedule(runner: Runner, checkpoint: dict) -> None:
    """Have a resumed training go on with the schedulers of its config, where they would be by now.

    Their state and the values that they have come to take the place of the checkpoint's, from which the Runner goes on.
    Each value starts from what the checkpoint's schedule started from. An epoch is an epoch: if it has another number
    of iterations now, the schedule is where it is after as many epochs.

    Args:
        runner: Its optimizer and schedulers as at the start of a training.
        checkpoint: Is changed.

    Raises:
        UserError: If a scheduler goes by the metrics of earlier validations, or there are several optimizers.
    """
    schedulers = runner.param_schedulers
    if not isinstance(schedulers, list) or any(isinstance(one, ReduceOnPlateauParamScheduler) for one in schedulers):
        raise UserError(
            f'param_scheduler is another than that of {runner._load_from}, and cannot be followed from the middle of '
            f'a training: set it as it was, or start with load_from={runner._load_from} instead of --resume'
        )
    groups, saved_groups = runner.optim_wrapper.optimizer.param_groups, checkpoint['optimizer']['param_groups']
    names = {scheduler.param_name for scheduler in schedulers}
    for name in names:
        for place, (group, saved) in enumerate(zip(groups, saved_groups)):
            start = saved.get(f'initial_{name}')
            if start is None or not group.get(f'initial_{name}'):
                continue
            group[name] *= start / group[f'initial_{name}']
            group[f'initial_{name}'] = start
            for scheduler in schedulers:
                if scheduler.param_name == name:
                    scheduler.base_values[place] = start
    _replay(runner, checkpoint['meta'])
    for group, saved in zip(groups, saved_groups):
        # AdamW's momentum is the first of its betas.
        saved |= {key: group[key] for key in names | {'betas'} if key in group}
    checkpoint['param_schedulers'] = [scheduler.state_dict() for scheduler in schedulers]


def _replay(runner: Runner, meta: dict) -> None:
    """Step the schedulers as ParamSchedulerHook would have."""
    epochs, iterations = meta['epoch'], meta['iter']
    length = len(runner.train_dataloader)
    if not isinstance(runner.train_loop, EpochBasedTrainLoop):
        epochs = 0  # no scheduler hears of them
    elif not epochs <= iterations / length < epochs + 1:
        iterations = epochs * length  # epochs were of another length
    by_epoch, by_iteration = ([one for one in runner.param_schedulers if one.by_epoch is way] for way in (True, False))
    with warnings.catch_warnings():
        # Of steps before the optimizer's first.
        warnings.simplefilter('ignore')
        for done in range(1, iterations + 1):
            for scheduler in by_iteration:
                scheduler.step()
            if done % length == 0 and done // length <= epochs:
                for scheduler in by_epoch:
                    scheduler.step()
