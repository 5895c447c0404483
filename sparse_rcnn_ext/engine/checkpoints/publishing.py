"""Turns a checkpoint of a training into a file to hand out."""

import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from torch import Tensor

from sparse_rcnn_ext.errors import UserError

from .atomic_file import write_atomically
from .checkpoint_file import SUFFIX, pack_safetensors, read_checkpoint
from .verified_download import sha256_of

# mmengine adds the time at which a run began to the name of its config.
_TIME = re.compile(r'_\d{8}_\d{6}$')


@dataclass(frozen=True)
class Published:
    """A published file."""

    path: Path
    """Its name ends in the first eight digits of ``sha256``."""
    sha256: str
    facts: dict[str, Any]
    """``classes``, ``config``, ``epoch``, ``iter`` and the ``source``'s SHA-256 as ``source_sha256``."""
    parameters: int


def publish(source: Path, out: Path, config: str | None = None) -> Published:
    """Write the weights of a checkpoint, without optimizer, logs and settings, as safetensors.

    Where the training averaged its weights (EMA) these are the averaged ones, with which it was validated. The same
    checkpoint gives the same file.

    Args:
        source: A checkpoint of a training.
        out: The .safetensors file; ``-`` and eight digits of its SHA-256 are added to its name.
        config: Name of the config, if not that of the training.

    Raises:
        UserError: If the checkpoint cannot be read safely or names no config or classes, or ``out`` is no such file or
            cannot be written.
    """
    if out.suffix != SUFFIX:
        raise UserError(f'the second argument is {out}: give a file that ends in {SUFFIX}')
    if not out.parent.is_dir():
        raise UserError(f'there is no folder {out.parent}: make it first')
    checkpoint = read_checkpoint(str(source))
    facts = _facts(checkpoint, source, config)
    state = _weights(checkpoint, source)
    content = pack_safetensors(state, facts)
    digest = sha256(content).hexdigest()
    path = out.with_name(f'{out.stem}-{digest[:8]}{SUFFIX}')
    write_atomically(path, content)
    return Published(path, digest, facts, sum(value.numel() for value in state.values()))


def _weights(checkpoint: dict, source: Path) -> dict[str, Tensor]:
    # mmengine's EMAHook swaps the weights before they are saved: state_dict holds the average.
    state = checkpoint.get('state_dict', checkpoint)
    # mmdet 2 keeps what was not averaged beside, under names without dots.
    state = {name.removeprefix('module.'): value for name, value in state.items() if not name.startswith('ema_')}
    for name, value in state.items():
        if not isinstance(value, Tensor):
            raise UserError(f'{source} holds a {type(value).__name__} as {name}: give a checkpoint of tools/train.py')
    return state


def _facts(checkpoint: dict, source: Path, config: str | None) -> dict[str, Any]:
    meta = checkpoint.get('meta') or {}
    data = meta.get('dataset_meta') or {}
    # Checkpoints of mmdet 2 say CLASSES, in meta itself.
    classes = data.get('classes') or data.get('CLASSES') or meta.get('CLASSES')
    if not classes:
        raise UserError(f'{source} has no names of classes: give a checkpoint of tools/train.py')
    trained_with = meta.get('experiment_name')
    config = config or (_TIME.sub('', trained_with) if trained_with else None)
    if not config:
        raise UserError(f'{source} does not say with which config it was trained: give --config NAME')
    facts = dict(classes=list(classes), config=Path(config).stem, source_sha256=sha256_of(source))
    return facts | {key: meta[key] for key in ('epoch', 'iter') if key in meta}
