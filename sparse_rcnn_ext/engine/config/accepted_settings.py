"""Which settings a class or function takes, and whether somebody reads those that --cfg-options names."""

import ast
import inspect
import textwrap
from difflib import get_close_matches
from functools import cache
from typing import NamedTuple

from mmengine.config import Config
from mmengine.runner import Runner

from sparse_rcnn_ext.errors import UserError

from .config_parts import suggest

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


class Accepted(NamedTuple):
    """What can be given by keyword."""

    names: frozenset[str]
    others: bool
    """Whether there may be more, or that cannot be known."""


@cache
def accepted_arguments(part: object) -> Accepted:
    """The names that can be given to a class or function by keyword.

    Where a constructor passes ``**kwargs`` on to ``super().__init__``, and does nothing else with them, those of the
    next class in the MRO count too.
    """
    if not inspect.isclass(part):
        names, rest = _of_function(part)
        return Accepted(names, rest is not None)
    found: frozenset[str] = frozenset()
    for owner in part.__mro__:
        # One that makes its instances elsewhere, such as an enumeration or a named tuple.
        if '__init__' not in vars(owner):
            if '__new__' in vars(owner) and owner is not object:
                return Accepted(found, True)
            continue
        if owner is object:
            return Accepted(found, False)
        names, rest = _of_function(vars(owner)['__init__'])
        found |= names
        if rest is None:
            return Accepted(found, False)
        if not _passes_on(vars(owner)['__init__'], rest):
            break
    return Accepted(found, True)


def _of_function(function: object) -> tuple[frozenset[str], str | None]:
    """The names, and that of its ``**kwargs``."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (ValueError, TypeError):
        return frozenset(), '?'
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    rest = [one.name for one in parameters if one.kind is inspect.Parameter.VAR_KEYWORD]
    names = frozenset(one.name for one in parameters if one.kind in by_name) - {'self'}
    return names, rest[0] if rest else None


def _passes_on(function: object, rest: str) -> bool:
    """Whether all that becomes of ``**rest`` is ``super().__init__(…, **rest)``."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return False
    passed = {
        id(keyword.value)
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and ast.unparse(call.func) == 'super().__init__'
        for keyword in call.keywords
        if keyword.arg is None
    }
    uses = {id(node) for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == rest}
    return bool(uses) and uses <= passed
