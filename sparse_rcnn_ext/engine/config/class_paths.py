"""Types by their path, in a form that can be read again.

mmengine writes a class of a config in pure Python as the module that it was imported from and its name. Where a package
exports a function under the name of one of its modules, as mmdet.models.losses does with smooth_l1_loss, mmengine finds
that function in place of the module when it reads mmdet.models.losses.smooth_l1_loss.L1Loss, and nothing in it.
"""

from importlib import import_module
from typing import Any

from mmengine.config import Config
from mmengine.config.lazy import LazyAttr, LazyObject
from mmengine.utils import get_object_from_string


def mend_class_paths(cfg: Config) -> None:
    """Give each type that mmengine would not find by its path the shortest one by which it does.

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
