"""The classes and functions that the types of a config name, and what a misspelt name may have meant."""

import logging
from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache

import mmengine.registry
from mmengine.registry import Registry
from mmengine.utils import get_object_from_string


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
