"""Reads checkpoints without running code from them, and .safetensors, which can hold none."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from urllib.parse import unquote, urlparse

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from sparse_rcnn_ext.errors import UserError

from .trust import is_trusting
from .verified_download import download

MapLocation = str | torch.device | dict[str, str] | Callable | None

# Two sentences of torch, and that of safe_globals.
_REFUSED = re.compile(r'GLOBAL (\S+)|instantiate unsafe class (\S+)|for the (attribute .+?), which no Runner')

_CAUSE = re.compile(r'WeightsUnpickler error:\s*(.+)')


def read_checkpoint(source: str, map_location: MapLocation = 'cpu') -> dict:
    """Read a checkpoint of tensors, NumPy arrays and plain containers and values; any other object is refused.

    What mmengine's Runner writes is such a file, and so are those of mmdet's model zoo. After
    :func:`~sparse_rcnn_ext.engine.checkpoints.trust.trust_checkpoints` other objects load, too.

    Args:
        source: A file of ``torch.save`` or .safetensors, or an address of http, https or file (see
            :func:`~sparse_rcnn_ext.engine.checkpoints.verified_download.download`).
        map_location: As for ``torch.load``; safetensors always come to the CPU.

    Raises:
        UserError: If there is no such file, it is no checkpoint, or holds other objects.
        URLError: If it cannot be downloaded.
    """
    file = _local_file(source)
    checkpoint = read_safetensors(file) if file.suffix == SUFFIX else read_torch_file(file, map_location)
    if not isinstance(checkpoint, dict):
        raise UserError(f'{source} holds a {type(checkpoint).__name__} and no weights: give one of tools/train.py')
    return checkpoint


def _local_file(source: str) -> Path:
    parts = urlparse(source)
    if parts.scheme in ('http', 'https'):
        return download(source)
    file = Path(unquote(parts.path)) if parts.scheme == 'file' else Path(source).expanduser()
    if not file.is_file():
        raise UserError(f'no checkpoint file {source}: give the path of one')
    return file


def read_torch_file(file: Path, map_location: MapLocation = 'cpu', kind: str = 'checkpoint') -> object:
    """What ``torch.save`` put into a file, under the rules of :func:`read_checkpoint`.

    Args:
        file: A file that exists.
        map_location: As for ``torch.load``.
        kind: What the file is called in errors.

    Raises:
        UserError: If it is no such file, or holds other objects.
    """
    if is_trusting():
        # As another program would read it.
        return torch.load(file, map_location, weights_only=False)
    if torch.__version__ < (2, 6):
        # Its weights_only has holes (CVE-2025-32434), and knows no names beside objects, see safe_globals.
        raise UserError(
            f'{file} cannot be read safely with torch {torch.__version__}: take torch 2.6 or later, or '
            'a .safetensors file, or --trust-checkpoint if you would run it as a program'
        )
    try:
        return torch.load(file, map_location, weights_only=True)
    except UnpicklingError as error:
        refused = _REFUSED.search(str(error))
        if refused is None:
            raise UserError(_unreadable(file, error, kind)) from error
        raise UserError(
            f'{file} holds {next(filter(None, refused.groups()))}, which could run code: give a {kind} of tensors '
            'and plain values, or --trust-checkpoint if you would run this one as a program'
        ) from error
    except Exception as error:  # other files than checkpoints fail in many ways
        raise UserError(_unreadable(file, error, kind)) from error


def _unreadable(file: Path, error: Exception, kind: str) -> str:
    # torch puts pages of advice before and after it.
    found = _CAUSE.search(str(error))
    reason = found[1] if found else f'{type(error).__name__}: {error}'.splitlines()[0]
    return f'{file} cannot be read as a {kind} ({reason}): give one of tools/train.py'


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
