"""Batches as tensors and plain containers, which ``torch.load(weights_only=True)`` reads anywhere."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from mmdet.structures.bbox import BaseBoxes
from mmengine.structures import BaseDataElement
from torch import Tensor


def plain(value: object) -> object:
    """``value`` without any class but tensors, dicts, lists, strings and numbers; whatever is none becomes its text.

    Boxes become the tensor of their numbers, arrays tensors, and a data sample the dict of its meta data and fields.
    """
    if isinstance(value, BaseBoxes):
        value = value.tensor
    if isinstance(value, Tensor):
        # A slice would be saved with all that it is a slice of.
        return value.detach().cpu().clone()
    if isinstance(value, np.ndarray) and value.dtype.kind in 'biuf':
        return torch.from_numpy(np.array(value))
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, BaseDataElement):
        return {name: plain(part) for name, part in (*value.metainfo_items(), *value.items())}
    if isinstance(value, Mapping):
        return {plain(name): plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value) if isinstance(value, Path) else repr(value)
