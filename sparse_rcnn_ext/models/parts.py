"""The parts of a detector: ours where they cannot be mmdet's, and whether all that a config names fit each other."""

from collections.abc import Sequence
from typing import Any

from mmdet.registry import MODELS as MMDET_MODELS
from mmengine.registry import Registry
from torch import Tensor
from torch.nn import Module

from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.registry import MODELS, SCOPE, TASK_UTILS


def check_classes(roi_head: Module, criterion: Module) -> None:
    """See that stages and criterion agree on the classes. What a part of a user's own does not tell is not compared.

    Raises:
        UserError: If only one of them has "no object" as a class more, or the classes have weights of another number.
    """
    softmax = getattr(roi_head, 'one_label', False)
    if getattr(criterion, 'one_label', softmax) != softmax:
        head, right = ('SoftmaxDIIHead', 'SoftmaxCriterion') if softmax else ('DIIHead', 'SparseRCNNCriterion')
        raise UserError(
            f'model.criterion is {type(criterion).__name__}, and the last logit of the stages is '
            f'{"" if softmax else "not "}"no object": set model.criterion.type to sparse_rcnn_ext.{right}, '
            f'which belongs to {head}'
        )
    # The criterion has those that the loss itself does not take.
    owners = (getattr(criterion, 'loss_cls', None), criterion)
    found = [weights for owner in owners if (weights := getattr(owner, 'class_weight', None)) is not None]
    number = getattr(roi_head.bbox_head[0], 'num_classes', None) if found else None
    if number is not None and len(found[0]) != number:
        raise UserError(
            f'model.criterion.loss_cls.class_weight has {len(found[0])} numbers for {number} classes: '
            'set it to as many as model.roi_head.bbox_head.num_classes'
        )


def check_levels(backbone: Module, neck: Module, readers: dict[str, Module]) -> None:
    """See that backbone, neck and those who read the pyramid have as many levels; what is not told is not compared.

    Args:
        backbone: With ``out_indices``, if they are known.
        neck: With ``in_channels``, one for each level, and ``num_outs``, if they are known.
        readers: By the setting of their strides.

    Raises:
        UserError: Names both settings.
    """
    given, taken = getattr(backbone, 'out_indices', None), getattr(neck, 'in_channels', None)
    if isinstance(given, (list, tuple)) and isinstance(taken, (list, tuple)) and len(given) != len(taken):
        raise UserError(
            f'model.backbone.out_indices gives {_levels(len(given))} and model.neck.in_channels takes {len(taken)}: '
            'set both for the same levels'
        )
    made = getattr(neck, 'num_outs', None)
    for setting, reader in readers.items():
        strides = getattr(reader, 'featmap_strides', None)
        if type(made) is int and strides is not None and made != len(strides):
            raise UserError(
                f'model.neck.num_outs makes {_levels(made)} and {setting} names {len(strides)} strides: '
                'set both for the same levels'
            )


def check_strides(image: Tensor, pyramid: Sequence[Tensor], strides: Sequence[int], setting: str) -> None:
    """See that each level is as fine as its stride says; shapes alone are read.

    Args:
        image: (B, 3, H, W).
        pyramid: Levels (B, C, H_l, W_l).
        strides: One for each level.
        setting: Where they stand.

    Raises:
        UserError: Names ``setting`` and the strides that there are.
    """
    height = image.shape[-2]
    # Networks round up or down where a side is no multiple.
    if any(abs(level.shape[-2] - height / stride) > 1 for level, stride in zip(pyramid, strides)):
        found = [round(height / level.shape[-2]) for level in pyramid]
        raise UserError(
            f'{setting} is {tuple(strides)}, and the levels of the neck have the strides {found}: '
            'set it to these, or model.backbone.out_indices and model.neck.start_level for others'
        )


def _levels(number: int) -> str:
    return f'{number} level{"s" if number > 1 else ""}'


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
