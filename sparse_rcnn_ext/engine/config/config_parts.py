"""What the parts of a config are, in whichever form it names them.

A ``type`` may be a name in a registry, with a scope or without, the path of a class, or, in a config of pure Python,
the class itself. Nothing here compares text: two parts are the same where their classes are.
"""

from collections.abc import Iterator
from typing import Any

from mmengine.config import Config

from .part_names import find_parts

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
