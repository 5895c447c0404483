"""From a config to mmengine's Runner."""

from mmengine.config import Config
from mmengine.runner import Runner

# Of these alone mmengine takes None for an answer; it has them where a config has none, too.
_OF_RUNNER = ('runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint')


def build_runner(cfg: Config) -> Runner:
    """The Runner of a config, in which any of ``default_hooks`` may be None: switched off.

    Args:
        cfg: The config of the run; hooks that are None, but for those that mmengine has without a config, are taken
            out of it in place.
    """
    hooks = cfg.get('default_hooks') or {}
    for name in [name for name, hook in hooks.items() if hook is None and name not in _OF_RUNNER]:
        del hooks[name]
    return Runner.from_cfg(cfg)


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
