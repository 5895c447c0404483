"""Say what is wrong with a config file that cannot be evaluated, and which part of a config refused its settings.

A wrong value, such as minus three proposals, is found where a class is made from its settings, with an error that knows
neither: torch's "negative dimension", or a TypeError of arithmetic.
"""

import traceback
from pathlib import Path

import mmengine.registry.build_functions
import mmengine.runner.runner

_PARTS = mmengine.registry.build_functions.__file__
_RUNNER = mmengine.runner.runner.__file__
# What the Runner makes without a registry, by its method.
_OF_RUNNER = {
    'build_dataloader': 'a data loader',
    'build_train_loop': 'train_cfg',
    'build_val_loop': 'val_cfg',
    'build_test_loop': 'test_cfg',
    'build_optim_wrapper': 'optim_wrapper',
    'build_param_scheduler': 'param_scheduler',
    'build_evaluator': 'an evaluator',
    'build_log_processor': 'log_processor',
    'build_visualizer': 'visualizer',
    'register_hooks': 'default_hooks or custom_hooks',
    'register_hook': 'a hook',
    'setup_env': 'env_cfg',
    'set_randomness': 'randomness',
    'scale_lr': 'auto_scale_lr',
    'wrap_model': 'model_wrapper_cfg',
    '__init__': 'what the Runner is made from',
}
# Of numpy, where a data set of mmdet keeps no image.
_NO_IMAGE = 'need at least one array to concatenate'
_LONGEST = 300


def explain_build_error(error: BaseException) -> str | None:
    """A sentence for an error that came up while mmengine made a part of a config.

    Args:
        error: With its traceback.

    Returns:
        It names the innermost part, its settings and what was wrong; None where no part was being made.
    """
    found = None
    step = error.__traceback__
    while step is not None:
        code, names = step.tb_frame.f_code, step.tb_frame.f_locals
        if code.co_filename == _PARTS and code.co_name == 'build_from_cfg':
            found = _describe(names.get('cfg'))
        elif code.co_filename == _RUNNER and code.co_name == 'from_cfg' and isinstance(error, KeyError):
            found = 'the config'
        elif code.co_filename == _RUNNER and code.co_name in _OF_RUNNER:
            found = _OF_RUNNER[code.co_name]
        step = step.tb_next
    if found is None:
        return None
    if found == 'the config':
        return f'the config has no {error.args[0]}: add it, or correct a name that was meant for it'
    reason = _reason(error)
    if _NO_IMAGE in reason:
        reason = 'no image is left: none has a box of metainfo.classes, as these are written, or filter_cfg drops all'
    return f'{found} cannot be used: {_short(reason)}: correct that setting in the config or in --cfg-options'


def _reason(error: Exception) -> str:
    # The text of a KeyError is its key alone, and an assertion seldom has one.
    if isinstance(error, AssertionError) and not str(error):
        condition = traceback.extract_tb(error.__traceback__)[-1].line.removeprefix('assert ')
        return f'{condition} does not hold'
    return repr(error) if isinstance(error, KeyError) or not str(error) else ' '.join(str(error).split())


def _describe(settings: object) -> str:
    if not isinstance(settings, dict) or 'type' not in settings:
        return f'the setting {_short(repr(settings))}'
    # Others, such as an optimizer that the Runner hands over, would fill a page.
    plain = {key: value for key, value in settings.items() if isinstance(value, (str, int, float, tuple, type(None)))}
    plain.pop('type', None)
    name = settings['type']
    listed = ', '.join(f'{key}={value!r}' for key, value in plain.items())
    return f'{name if isinstance(name, str) else getattr(name, "__name__", name)}({_short(listed)})'


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f'{text[:_LONGEST]} …'


def explain_config_error(error: Exception, path: str, options: dict[str, object]) -> str:
    """A sentence with the file, the line where there is one, and the reason.

    Args:
        error: What evaluating raised.
        path: The config file.
        options: ``--cfg-options`` that it was evaluated with.
    """
    given = ' '.join(f'{name}={value}' for name, value in options.items())
    given = f' with --cfg-options {given}' if given else ''
    reason = ' '.join(str(error).split())
    if isinstance(error, SyntaxError):
        where = f'line {error.lineno}: {error.msg}'
        return f'{path} cannot be evaluated{given}: {where}: correct it there'
    # Bases are evaluated on the way, so the last frame of a config is the one that failed.
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.name == '<module>']
    places = [f'line {frame.lineno} of {Path(frame.filename).name}: ' for frame in frames[-1:]]
    place = places[0] if places else ''
    kind = type(error).__name__
    return f'{path} cannot be evaluated{given}: {place}{kind}: {reason}: correct it there'
