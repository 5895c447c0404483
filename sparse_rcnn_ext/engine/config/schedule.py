"""The length of a training, its effective batch, and the learning rate that belongs to both."""

from mmengine.config import Config, ConfigDict
from mmengine.optim import ConstantLR, CosineAnnealingLR, LinearLR, MultiStepLR
from mmengine.runner import Runner

from sparse_rcnn_ext.engine.checkpoints.resuming import mean_batch_size
from sparse_rcnn_ext.errors import UserError

from .config_parts import is_part, part_name


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


WARM_UPS = (LinearLR, ConstantLR)
DECAYS = (MultiStepLR, CosineAnnealingLR)


def set_epochs(cfg: Config, epochs: int) -> None:
    """Stretch or shrink a schedule that counts epochs.

    A warm-up stays as long as it is. What comes after it keeps its share of the time that is left: where a decay begins
    and ends, its milestones, the length of its cosine. Fractions of an epoch are rounded up, so that in a very short
    training the rate falls late rather than at once.

    Args:
        cfg: The config of the run; ``train_cfg`` and ``param_scheduler`` change in place, and a variable ``max_epochs``
            beside them.
        epochs: The new number of epochs.

    Raises:
        UserError: If the config does not count epochs, a scheduler is none of those that are known here, or the warm-up
            takes all of the epochs.
    """
    old = cfg.train_cfg.get('max_epochs')
    if not old:
        raise UserError(f'{cfg.filename} has no train_cfg.max_epochs: --epochs fits only a training that counts epochs')
    schedulers = cfg.get('param_scheduler') or []
    schedulers = schedulers if isinstance(schedulers, list) else [schedulers]
    warm_up = max((_warm_up_epochs(scheduler) for scheduler in schedulers), default=0)
    for scheduler in schedulers:
        is_decay = is_part(scheduler, DECAYS, 'param_scheduler') and scheduler.get('by_epoch', True)
        if warm_up >= old or not (is_decay or is_part(scheduler, WARM_UPS, 'param_scheduler')):
            raise UserError(
                f'--epochs cannot change the {part_name(scheduler)} of {cfg.filename}: it can where param_scheduler is '
                f'a warm-up of {_names(WARM_UPS)}, and {_names(DECAYS)} with by_epoch=True'
            )
    if epochs <= warm_up:
        raise UserError(f'{cfg.filename} warms up for {warm_up} epochs: --epochs must be more than that')

    def scale(epoch: int) -> int:
        share = -(-(epoch - warm_up) * (epochs - warm_up) // (old - warm_up))
        return epoch if epoch <= warm_up else warm_up + share

    for scheduler in schedulers:
        if is_part(scheduler, WARM_UPS, 'param_scheduler'):
            continue
        # mmengine counts milestones and the cosine from where the scheduler begins.
        begin = scheduler.get('begin', 0)
        if 'milestones' in scheduler:
            scheduler.milestones = [scale(begin + step) - scale(begin) for step in scheduler.milestones]
        if 'T_max' in scheduler:
            scheduler.T_max = scale(begin + scheduler.T_max) - scale(begin)
        for border in ('begin', 'end'):
            if border in scheduler:
                scheduler[border] = scale(scheduler[border])
    if 'val_interval' in cfg.train_cfg:
        cfg.train_cfg.val_interval = max(1, round(cfg.train_cfg.val_interval * epochs / old))
    cfg.train_cfg.max_epochs = epochs
    if cfg.get('max_epochs') == old:
        cfg.max_epochs = epochs


def _warm_up_epochs(scheduler: ConfigDict) -> int:
    """When a warm-up that counts epochs ends; 0 for anything else."""
    is_warm_up = is_part(scheduler, WARM_UPS, 'param_scheduler') and scheduler.get('by_epoch', True)
    return scheduler.get('end', 10**9) if is_warm_up else 0


def _names(kinds: tuple[type, ...]) -> str:
    return ' or '.join(kind.__name__ for kind in kinds)
