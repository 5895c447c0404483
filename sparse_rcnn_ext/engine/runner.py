"""From a config to mmengine's Runner."""

from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from .errors import UserError

# Of these alone mmengine takes None for an answer; it has them where a config has none, too.
_OF_RUNNER = ('runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint')


def build_runner(cfg: Config) -> Runner:
    """The Runner of a config, in which any of ``default_hooks`` may be None: switched off.

    mmengine's FlexibleRunner trains too, but it loads a checkpoint before its first hook is asked for one, has nothing
    that stops a training at a signal, and opens the process group by itself, so neither resuming nor a job without CUDA
    would work as they do here.

    Args:
        cfg: The config of the run; hooks that are None, but for those that mmengine has without a config, are taken
            out of it in place. ``runner_type`` may name a subclass of Runner.

    Raises:
        UserError: If it is no such class, or there is a ``strategy``, which FlexibleRunner alone reads.
    """
    name = cfg.get('runner_type') or 'Runner'
    kind = RUNNERS.get(name) if isinstance(name, str) else name
    if not (isinstance(kind, type) and issubclass(kind, Runner)):
        raise UserError(
            f'runner_type is {name!r}, which is no Runner of mmengine and could not resume or be stopped as ours are: '
            'set runner_type and strategy to None'
        )
    if cfg.get('strategy'):
        raise UserError("strategy is nothing that a Runner reads, only mmengine's FlexibleRunner: set it to None")
    hooks = cfg.get('default_hooks') or {}
    for name in [name for name, hook in hooks.items() if hook is None and name not in _OF_RUNNER]:
        del hooks[name]
    return kind.from_cfg(cfg)


def set_hook(cfg: Config, name: str, **settings: object) -> None:
    """Give one of ``default_hooks`` other settings, whether it was there, was switched off, or there are none at all.

    Args:
        cfg: The config of the run, changed in place.
        name: Of the hook.
        settings: Over those that it has; ``type`` is to be among them.
    """
    if not cfg.get('default_hooks'):
        cfg.default_hooks = {}
    cfg.default_hooks[name] = {**(cfg.default_hooks.get(name) or {}), **settings}
