"""See that --cfg-options name settings that somebody reads; mmengine adds any other as a new one, silently."""

import inspect
from difflib import get_close_matches

from mmengine.config import Config
from mmengine.runner import Runner

from sparse_rcnn_ext.errors import UserError

from .part_names import suggest

# Beside what the Runner takes: what it, mmengine's loader of configs, mmdet and our tools read from the config itself.
_OTHERS = {
    'compile',
    'custom_imports',
    'detect_anomalous_params',
    'find_unused_parameters',
    'model_wrapper_cfg',
    'runner_type',
    'strategy',
    'sync_bn',
    'tta_model',
    'tta_pipeline',
    'tta_views',
}
# Below a dict that no class describes, a new key may be meant; one that is nearly a key beside it is not.
_NEARLY = 0.85


def check_option_names(cfg: Config, options: dict[str, object], path: str) -> None:
    """Look at where each option would land, before the options are merged.

    Settings of classes are left to :func:`~sparse_rcnn_ext.engine.config.config_check.check_config`, after the merge.

    Args:
        cfg: The config, as its file says.
        options: Those that are no knobs, by dotted name.
        path: The file, for the sentence.

    Raises:
        UserError: Names the option, and the setting that may have been meant.
    """
    read = {*inspect.signature(Runner.__init__).parameters, *_OTHERS} - {'self', 'cfg'}
    for option in options:
        steps = option.split('.')
        if steps[0] not in cfg and steps[0] not in read:
            names = read | {name for name in cfg.keys() if not name.startswith('_')}  # noqa: SIM118  (no dict)
            raise UserError(
                f'--cfg-options {option}: {path} has no setting {steps[0]}, and nothing reads one: '
                f'{suggest(steps[0], names)}'
            )
        # A dict may be somebody's own, who reads it from the config.
        if steps[0] not in read and (len(steps) == 1 or isinstance(cfg[steps[0]], (list, tuple))):
            raise UserError(
                f'--cfg-options {option}: when options are merged into {path}, {steps[0]} has done its work: name the '
                'setting that was made of it, such as train_dataloader.dataset.pipeline'
            )
        node: object = cfg
        for depth, step in enumerate(steps):
            if isinstance(node, (list, tuple)):
                if not (step.isdecimal() and int(step) < len(node)):
                    place = '.'.join(steps[:depth])
                    raise UserError(
                        f'--cfg-options {option}: {place} of {path} is a list of {len(node)}: '
                        f'give a number from 0 to {len(node) - 1} in the place of {step}'
                    )
                node = node[int(step)]
            elif isinstance(node, (dict, Config)):
                if step not in node:
                    _check_new(node, option, step, path)
                    break
                node = node[step]
            else:
                break


def _check_new(node: dict | Config, option: str, step: str, path: str) -> None:
    if isinstance(node, Config) or 'type' in node:
        return
    if close := get_close_matches(step, map(str, node), n=1, cutoff=_NEARLY):
        raise UserError(f'--cfg-options {option}: {path} has no {step} there: did you mean {close[0]}?')
