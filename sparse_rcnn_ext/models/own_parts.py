"""Parts of a detector that cannot be mmdet's, though a config may name mmdet's, or spell its own as mmdet does."""

from typing import Any

from mmdet.registry import MODELS as MMDET_MODELS
from mmengine.registry import Registry

from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.registry import MODELS, SCOPE, TASK_UTILS


def build_own(settings: dict, setting: str, usual: str, registry: Registry = MMDET_MODELS) -> Any:
    """Build a part that other parts call in our way.

    Args:
        settings: Of the part, with its type: one of ours, or of the user's own.
        setting: Where they stand in a config, for the sentence.
        usual: Our class that usually stands there.
        registry: What builds it.

    Raises:
        UserError: If there is no dict, or mmdet's class is named, which takes other inputs.
    """
    if not isinstance(settings, dict):
        raise UserError(f"{setting} is {_short(settings)}: set it to one dict, of type '{SCOPE}.{usual}'")
    name = settings.get('type')
    kind = registry.get(name) if isinstance(name, str) else name
    if str(getattr(kind, '__module__', '')).startswith('mmdet.'):
        ours = kind.__name__ if kind.__name__ in {**MODELS.module_dict, **TASK_UTILS.module_dict} else usual
        raise UserError(
            f"{setting}.type is mmdet's {kind.__name__}, which takes other inputs than ours: set it to '{SCOPE}.{ours}'"
        )
    return registry.build(settings)


def check_keys(settings: dict | None, setting: str, known: tuple[str, ...], advice: str) -> dict:
    """Give ``settings``, an empty dict for None; raise UserError with ``advice`` where a key is none of ``known``."""
    unknown = [key for key in settings or () if key not in known]
    if unknown:
        raise UserError(f'{setting}.{unknown[0]} is nothing that a SparseRCNN reads: {advice}')
    return settings or {}


def _short(value: object) -> str:
    return f'a list of {len(value)}' if isinstance(value, (list, tuple)) else repr(value)
