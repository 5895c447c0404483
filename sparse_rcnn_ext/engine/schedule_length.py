"""Train for another number of epochs than the recipe says."""

from mmengine.config import Config, ConfigDict
from mmengine.optim import ConstantLR, CosineAnnealingLR, LinearLR, MultiStepLR

from .config_parts import is_part, part_name
from .errors import UserError

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
