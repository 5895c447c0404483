"""Weights in a .safetensors file, which can hold nothing but tensors and text."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from .errors import UserError

SUFFIX = '.safetensors'
# One entry: the library writes several in an order that changes, and with it the file's hash.
_ENTRY = 'sparse_rcnn_ext'


def pack_safetensors(state: dict[str, Tensor], facts: dict[str, Any]) -> bytes:
    """The file of weights by name, and what is known of them: ``facts`` is anything that JSON holds."""
    # Tensors that share memory, or are no plain block of it, cannot be written.
    plain = {name: value.detach().cpu().contiguous().clone() for name, value in state.items()}
    return save(plain, {_ENTRY: json.dumps(facts, sort_keys=True)})


def read_safetensors(path: Path) -> dict:
    """Read a file of weights as a checkpoint of mmengine.

    Returns:
        ``state_dict``: the tensors by name, on the CPU. ``meta``: ``published``, the facts of a file of ours, and
        ``dataset_meta`` with ``classes`` if they name them; empty for files of others.

    Raises:
        UserError: If it is not such a file, or was damaged.
    """
    try:
        with safe_open(path, framework='pt') as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no dict
            facts = json.loads((file.metadata() or {}).get(_ENTRY, '{}'))
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise UserError(f'{path} cannot be read as safetensors ({error}): get the file anew') from error
    meta = dict(published=facts) if isinstance(facts, dict) and facts else {}
    classes = meta.get('published', {}).get('classes')
    if isinstance(classes, list) and classes:
        meta['dataset_meta'] = dict(classes=tuple(map(str, classes)))
    return dict(meta=meta, state_dict=state)
