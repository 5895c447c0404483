"""Whether two trainings ended alike."""

from pathlib import Path

import torch


def load(path: Path) -> dict:
    return torch.load(path, map_location='cpu', weights_only=False)


def differences(one: Path, other: Path) -> list[str]:
    """Where the weights, the averaged weights, the optimizer or the schedulers of two checkpoints differ by a bit."""
    first, second = (_ends(load(path)) for path in (one, other))
    return list(_differences(first, second, ''))


def _ends(checkpoint: dict) -> dict:
    """Weights and optimizer, which every training has, and what most have."""
    required = {key: checkpoint[key] for key in ('state_dict', 'optimizer')}
    return required | {key: checkpoint.get(key) for key in ('ema_state_dict', 'param_schedulers')}


def _differences(first: object, second: object, place: str):
    if isinstance(first, dict):
        if first.keys() != second.keys():
            yield f'{place}: {first.keys() ^ second.keys()}'
        for key in first.keys() & second.keys():
            yield from _differences(first[key], second[key], f'{place}/{key}')
    elif isinstance(first, list | tuple):
        if len(first) != len(second):
            yield f'{place}: length'
        for index, (left, right) in enumerate(zip(first, second)):
            yield from _differences(left, right, f'{place}/{index}')
    elif isinstance(first, torch.Tensor):
        if not torch.equal(first, second):
            yield place
    # Whoever wraps a method of a scheduler makes another function each time.
    elif not callable(first) and first != second:
        yield place
