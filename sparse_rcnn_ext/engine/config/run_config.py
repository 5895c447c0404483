"""What tools/train.py and tools/test.py make of a config file and their arguments, up to mmengine's Runner."""

import pickle
from pathlib import Path
from typing import ClassVar
from zipfile import is_zipfile

import torch
from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from sparse_rcnn_ext.engine.checkpoints.checkpoint_file import SUFFIX
from sparse_rcnn_ext.engine.checkpoints.resuming import agree_on_last_checkpoint
from sparse_rcnn_ext.errors import UserError

from .accepted_settings import check_option_names
from .arguments import check_config_file
from .build_errors import explain_config_error
from .config_check import check_config
from .config_parts import mend_class_paths, part_class, part_name, scope_of
from .knobs import load_with_knobs
from .paths import font_file

AMP_DTYPES = {'fp16': 'float16', 'bf16': 'bfloat16'}


class RunConfig(Config):
    """A config whose text is formatted once.

    mmengine has yapf do it anew for the log, the run's copy, and every checkpoint: two seconds each for a long config.
    """

    _formatted: ClassVar[dict[str, str]] = {}

    @property
    def pretty_text(self) -> str:
        """The config as Python, formatted."""
        # Config's own __setattr__ would make it a setting.
        object.__setattr__(self, '_format_python_code', False)
        try:
            plain = super().pretty_text
        finally:
            object.__setattr__(self, '_format_python_code', True)
        if plain not in self._formatted:
            self._formatted[plain] = super().pretty_text
        return self._formatted[plain]


def load_config(path: str, options: dict | None, work_dir: str | None) -> Config:
    """Read a config file and settle where its run lands.

    Args:
        path: The config file.
        options: Names and values of ``--cfg-options``: knobs of the file, such as ``long_side``, or dotted names of
            the settings that it evaluates to.
        work_dir: Where the run lands; None: the config's own ``work_dir``, else work_dirs/CONFIG_NAME.

    Raises:
        UserError: If there is no such file, it is no config, an option does not fit it, or a type or a setting in it
            is nothing that there is; or ``SPARSE_RCNN_FONT`` names no font, which pictures at the end would need.

    Returns:
        The config; ``default_scope`` is never None, so that a name means the same in every tool.
    """
    check_config_file(path)
    font_file()
    options = options or {}
    try:
        cfg, knobs = load_with_knobs(path, options)
    except UserError:
        raise
    except Exception as error:  # a config is a program
        raise UserError(explain_config_error(error, path, options)) from error
    settings = {name: value for name, value in options.items() if name not in knobs}
    check_option_names(cfg, settings, path)
    try:
        cfg.merge_from_dict(settings)
    except (TypeError, KeyError, IndexError, AssertionError, ValueError, AttributeError) as error:
        raise UserError(f'--cfg-options does not fit {path}: {error}') from error
    # mmengine's Runner takes None for its own scope, in which Resize is another one than mmdet's.
    cfg.default_scope = scope_of(cfg)
    mend_class_paths(cfg)
    check_config(cfg, path)
    cfg.work_dir = work_dir or cfg.get('work_dir') or str(Path('work_dirs', Path(path).stem))
    object.__setattr__(cfg, '__class__', RunConfig)
    return cfg


def check_checkpoint(path: str, setting: str) -> None:
    """Raise UserError where ``path`` is a local file that is no checkpoint; ``setting`` says who named it."""
    if '://' in path:
        return
    if not Path(path).is_file():
        raise UserError(f'no checkpoint file {path}: {setting} must name one')
    # Nothing of a .safetensors file is cheaper to check than to read it.
    if Path(path).suffix != SUFFIX and not is_torch_file(path):
        raise UserError(
            f'{path} is no file of torch.save, or was cut off: {setting} must name a checkpoint of tools/train.py '
            "(tools/convert/official_to_mmdet.py makes one of detectron2's .pkl)"
        )


def check_device(device: str) -> None:
    """Raise UserError where ``--device`` names none that torch has here."""
    try:
        torch.empty(0, device=torch.device(device))
    except (RuntimeError, AssertionError) as error:
        first_line = str(error).splitlines()[0]
        raise UserError(f'--device {device} is not to be had here ({first_line}): leave it out, or give cpu') from error


def is_torch_file(path: str) -> bool:
    """Whether a file was written by ``torch.save``, and its end is there."""
    # Before torch 1.6 they were no zip archives, and began with a number of its own.
    old = pickle.dumps(torch.serialization.MAGIC_NUMBER, protocol=2)
    with Path(path).open('rb') as file:
        return file.read(len(old)) == old or is_zipfile(path)


def stop_early(cfg: Config, num_stages: int) -> None:
    """Set after how many stages inference stops; the model itself checks the number.

    Raises:
        UserError: If the model of ``cfg`` has no stages to stop after.
    """
    if not hasattr(part_class(cfg.model, 'model', scope_of(cfg)), 'forward_stages'):
        raise UserError(f'--stages needs a sparse_rcnn_ext.SparseRCNN, and the model is a {part_name(cfg.model)}')
    cfg.merge_from_dict({'model.test_cfg.num_stages': num_stages})


def choose_checkpoint(cfg: Config, resume: str | None) -> None:
    """Set ``resume`` and ``load_from`` as ``--resume`` asks; in all processes of a job, after they have joined it.

    Args:
        cfg: The config of the run.
        resume: None: as the config says; ``'auto'``: the last whole checkpoint of ``cfg.work_dir``, and where there is
            none yet a fresh start from the config's ``load_from``; else the checkpoint to go on from.

    Raises:
        UserError: If the checkpoint file does not exist, or all of the run's are damaged.
    """
    if resume == 'auto':
        latest = agree_on_last_checkpoint(cfg.work_dir)
        cfg.resume = latest is not None
        cfg.load_from = latest or cfg.get('load_from')
    elif resume is not None:
        cfg.resume = True
        cfg.load_from = resume
    if cfg.get('load_from'):
        check_checkpoint(cfg.load_from, '--resume' if cfg.get('resume') else 'load_from')


def switch_amp(cfg: Config, dtype: str) -> None:
    """Train in mixed precision: ``dtype`` is ``'bf16'``, ``'fp16'`` or ``'auto'`` (fp16 on CUDA, bf16 without)."""
    cfg.optim_wrapper.type = 'sparse_rcnn_ext.AmpOptimWrapper'
    cfg.optim_wrapper.dtype = AMP_DTYPES.get(dtype)


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
