"""What the parts of a config are, in whichever form it names them, and what a misspelt name may have meant.

A ``type`` may be a name in a registry, with a scope or without, the path of a class, or, in a config of pure Python,
the class itself. Nothing here compares text: two parts are the same where their classes are.
"""

import logging
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from typing import Any

import mmengine.registry
from mmengine.config import Config
from mmengine.config.lazy import LazyAttr, LazyObject
from mmengine.registry import Registry
from mmengine.utils import get_object_from_string

DEFAULT_SCOPE = 'mmdet'


def scope_of(cfg: Config) -> str:
    """Where the registries look for a name without a scope: in mmdet, unless the config says otherwise."""
    return cfg.get('default_scope') or DEFAULT_SCOPE


def part_class(settings: dict, section: str, scope: str = DEFAULT_SCOPE) -> Any | None:
    """The class, or function, that a part of a config is made by.

    Args:
        settings: The part, a dict with ``type``.
        section: The setting of the config below which it stands, such as ``'test_dataloader'``.
        scope: See :func:`scope_of`.

    Returns:
        None where there is no ``type``, or nothing of that name.
    """
    return next(iter(_part_classes(settings, section, scope)), None)


def is_part(settings: dict, kinds: type | tuple[type, ...], section: str, scope: str = DEFAULT_SCOPE) -> bool:
    """Whether a part of a config is made by one of these classes, or by one that inherits from them."""
    return any(isinstance(one, type) and issubclass(one, kinds) for one in _part_classes(settings, section, scope))


def _part_classes(settings: dict, section: str, scope: str) -> tuple[Any, ...]:
    kind = settings.get('type')
    if isinstance(kind, str):
        # A name may stand in several registries, such as one of a data set and of a transform.
        return find_parts(kind, settings.get('_scope_') or scope, section)
    return () if kind is None else (kind,)


def part_name(settings: dict) -> str:
    """What a sentence calls a part: its type as the config has it, of a class its path."""
    kind = settings.get('type')
    return f'{kind.__module__}.{kind.__qualname__}' if isinstance(kind, type) else str(kind)


def walk_evaluators(node: Any, setting: str) -> Iterator[tuple[str, dict]]:
    """Every metric of an evaluator config, with the dotted name of its place.

    Args:
        node: A metric, a list of them, or an evaluator that holds some as ``metrics``, as MultiDatasetsEvaluator does.
        setting: The dotted name of ``node``.
    """
    if isinstance(node, (list, tuple)):
        for number, child in enumerate(node):
            yield from walk_evaluators(child, f'{setting}.{number}')
    elif node:
        if 'metrics' in node:
            yield from walk_evaluators(node['metrics'], f'{setting}.metrics')
        else:
            yield setting, node


def section_registries(section: str) -> list[Registry]:
    """The registries whose parts usually stand in a section of a config, such as ``train_dataloader``."""
    return [getattr(mmengine.registry, name) for name in _OF_SECTION.get(section, ())]


_DATA = ('DATASETS', 'TRANSFORMS', 'DATA_SAMPLERS', 'FUNCTIONS')
_OF_SECTION = {
    'model': ('MODELS', 'TASK_UTILS', 'WEIGHT_INITIALIZERS'),
    'tta_model': ('MODELS',),
    'data_preprocessor': ('MODELS',),
    'model_wrapper_cfg': ('MODEL_WRAPPERS',),
    'train_dataloader': _DATA,
    'val_dataloader': _DATA,
    'test_dataloader': _DATA,
    'tta_pipeline': ('TRANSFORMS',),
    'optim_wrapper': ('OPTIM_WRAPPERS', 'OPTIMIZERS'),
    'param_scheduler': ('PARAM_SCHEDULERS',),
    'train_cfg': ('LOOPS',),
    'val_cfg': ('LOOPS',),
    'test_cfg': ('LOOPS',),
    'val_evaluator': ('METRICS', 'EVALUATOR'),
    'test_evaluator': ('METRICS', 'EVALUATOR'),
    'default_hooks': ('HOOKS',),
    'custom_hooks': ('HOOKS',),
    'visualizer': ('VISUALIZERS', 'VISBACKENDS'),
    'log_processor': ('LOG_PROCESSORS',),
}
_SHOWN = 12
SECTIONS = tuple(_OF_SECTION)
"""The settings of a config whose types are checked."""


@cache
def find_parts(name: str, scope: str, section: str) -> tuple[object, ...]:
    """Everything that a type may mean: in the registries of its section, or else in all."""
    # Configs in pure Python name their classes by module; the first word of a short name may be a scope.
    if name.count('.') > 1 and (named := get_object_from_string(name)) is not None:
        return (named,)
    for registries in (section_registries(section), _all_registries()):
        found = [part for registry in registries if (part := _look_up(registry, name, scope)) is not None]
        if found:
            return tuple(dict.fromkeys(found))
    return ()


@cache
def names_for(scope: str, section: str) -> tuple[str, ...]:
    """The types that a section may name; those of other scopes than ``scope`` begin with theirs."""
    names: dict[str, None] = {}
    for root in section_registries(section):
        _look_up(root, 'no such part', scope)  # imports what there is
        names.update(dict.fromkeys(root.module_dict))
        # Those of the scope first: else whichever package was imported first would be meant.
        for own, child in sorted(root.children.items(), key=lambda item: (item[0] != scope, item[0])):
            child.import_from_location()
            names.update(dict.fromkeys(one if own == scope else f'{own}.{one}' for one in child.module_dict))
    return tuple(names)


def _all_registries() -> list[Registry]:
    return [one for one in vars(mmengine.registry).values() if isinstance(one, Registry)]


def _look_up(root: Registry, name: str, scope: str) -> object | None:
    for full in (name,) if '.' in name else (f'{scope}.{name}', name):
        # mmengine warns of each registry that has no place to import from.
        logging.disable(logging.WARNING)
        try:
            found = root.get(full)
        except Exception:  # a module that its package cannot import
            found = None
        finally:
            logging.disable(logging.NOTSET)
        if callable(found):
            return found
    return None


def suggest(wrong: str, known: Iterable[str]) -> str:
    """The end of a sentence: the known name that is next to ``wrong``, or the names that there are."""
    known = sorted(set(known))
    by_case = {name.lower(): name for name in known}
    if close := get_close_matches(wrong.lower(), by_case, n=1):
        return f'did you mean {by_case[close[0]]}?'
    if not known:
        return 'leave it out'
    more = len(known) - _SHOWN
    return f'there are {", ".join(known[:_SHOWN])}{f" and {more} more" if more > 0 else ""}'


def mend_class_paths(cfg: Config) -> None:
    """Give each type that mmengine would not find by its path the shortest one by which it does.

    mmengine writes a class of a config in pure Python as the module that it was imported from and its name. Where a
    package exports a function under the name of one of its modules, as mmdet.models.losses does with smooth_l1_loss,
    mmengine finds that function in place of the module when it reads mmdet.models.losses.smooth_l1_loss.L1Loss, and
    nothing in it.

    Args:
        cfg: Changed in place; classes stay classes.
    """
    _mend(cfg._cfg_dict)


def _mend(node: Any) -> None:
    if isinstance(node, dict):
        # Past mmengine's ConfigDict, which would import and give out the classes themselves.
        if 'type' in node:
            dict.__setitem__(node, 'type', _mended(dict.__getitem__(node, 'type')))
        children = list(dict.values(node))
    else:
        children = node if isinstance(node, (list, tuple)) else ()
    for child in children:
        _mend(child)


def _mended(kind: Any) -> Any:
    lazy = isinstance(kind, (LazyAttr, LazyObject))
    path = f'{kind.module}.{kind}' if lazy else kind
    # The first word of a short name may be a scope.
    if not isinstance(path, str) or path.count('.') < 2 or get_object_from_string(path) is not None:
        return kind
    module, _, name = path.rpartition('.')
    try:
        part = getattr(import_module(module), name, None)
    except ImportError:
        return kind
    steps = module.split('.')
    for length in range(1, len(steps)):
        package = '.'.join(steps[:length])
        if part is not None and getattr(import_module(package), name, None) is part:
            return LazyObject(package, name) if lazy else f'{package}.{name}'
    return kind
