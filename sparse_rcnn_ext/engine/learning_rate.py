"""The effective batch of a run, and the learning rate that belongs to it."""

from mmengine.runner import Runner

from .errors import UserError
from .run_state import mean_batch_size


def set_learning_rate(runner: Runner) -> float:
    """Log the effective batch; scale the learning rate to it where ``auto_scale_lr.enable`` is set.

    The rule is linear (https://arxiv.org/abs/1706.02677). mmengine's own scaling forgets accumulated steps, so this
    takes its place. To be called between ``Runner.from_cfg`` and ``runner.train()``; the dumped config keeps the
    recipe's rate.

    Args:
        runner: A runner whose ``optim_wrapper`` is still a config of one optimizer.

    Returns:
        The learning rate of the run.

    Raises:
        UserError: If the config is one for tests alone, or scaling is asked for and ``auto_scale_lr.base_batch_size``
            is missing.
    """
    if not runner.cfg.get('train_dataloader') or not runner.optim_wrapper:
        raise UserError('the config is one for tests alone: set train_dataloader, train_cfg and optim_wrapper to train')
    per_process = mean_batch_size(runner.cfg.train_dataloader.batch_size)
    accumulated = runner.optim_wrapper.get('accumulative_counts', 1)
    batch = per_process * runner.world_size * accumulated
    optimizer = runner.optim_wrapper['optimizer']
    recipe_rate = optimizer['lr']
    settings = runner.auto_scale_lr or {}
    recipe_batch = settings.get('base_batch_size')
    if settings.get('enable') and recipe_batch is None:
        raise UserError('--auto-scale-lr needs auto_scale_lr.base_batch_size, the batch for which the rate was chosen')

    scaled_rate = recipe_rate * batch / recipe_batch if recipe_batch else recipe_rate
    message = (
        f'Effective batch: {per_process} (images per process) x {runner.world_size} (processes) x '
        f'{accumulated} (accumulated steps) = {batch}. '
    )
    if settings.get('enable'):
        message += f'Learning rate: {scaled_rate:g}, scaled from {recipe_rate:g} for {recipe_batch} images.'
        optimizer['lr'] = scaled_rate
    elif scaled_rate != recipe_rate:
        message += (
            f'Learning rate: {recipe_rate:g}, chosen for {recipe_batch} images; '
            f'--auto-scale-lr would make it {scaled_rate:g}.'
        )
    else:
        message += f'Learning rate: {recipe_rate:g}.'
    if runner.cfg.get('resume'):
        message += ' A resumed run goes on with the rate of its checkpoint.'
    # mmengine would scale once more.
    runner.auto_scale_lr = None
    runner.logger.info(message)
    return optimizer['lr']
