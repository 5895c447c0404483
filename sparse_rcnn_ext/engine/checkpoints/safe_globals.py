"""Tells ``torch.load(weights_only=True)``, the default since torch 2.6, of what mmengine's Runner writes.

Beside tensors its checkpoints hold the message hub: ``HistoryBuffer`` objects made of NumPy arrays and methods, and
NumPy scalars. Upstream's mmengine 0.10.7 therefore cannot read its own checkpoints on torch >= 2.6. The maintained
one can, but where one object is unknown to it, it turns the safety off; ``torch.load`` by itself still fails there.
"""

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

# HistoryBuffer keeps float64, NumPy's random state uint32; metrics and their best score may be any of these.
DTYPES = (
    'bool',
    'int8',
    'int16',
    'int32',
    'int64',
    'uint8',
    'uint16',
    'uint32',
    'uint64',
    'float16',
    'float32',
    'float64',
)


def register_safe_globals() -> None:
    """Tell torch which objects of a Runner's checkpoint are harmless; torch < 2.6 needs nothing and gets nothing."""
    if torch.__version__ < (2, 6):
        return
    # Each stands beside its name in the file, because NumPy 1 and 2 have two names for one function, and because
    # mmengine takes the bare objects off torch's list after its first load.
    torch.serialization.add_safe_globals(_allowed_objects())


def _allowed_objects() -> list[tuple[Callable[..., Any], str]]:
    make_array = np.empty(0).__reduce__()[0]
    make_scalar = np.float64(0).__reduce__()[0]
    allowed = [
        (HistoryBuffer, 'mmengine.logging.history_buffer.HistoryBuffer'),
        (_statistic_of_history_buffer, 'builtins.getattr'),
        (np.ndarray, 'numpy.ndarray'),
        (np.dtype, 'numpy.dtype'),
    ]
    for package in ('numpy.core', 'numpy._core'):
        allowed.append((make_array, f'{package}.multiarray._reconstruct'))
        allowed.append((make_scalar, f'{package}.multiarray.scalar'))
    for dtype in DTYPES:
        dtype_class = type(np.dtype(dtype))
        allowed.append((dtype_class, f'{dtype_class.__module__}.{dtype_class.__qualname__}'))
    return allowed


def _statistic_of_history_buffer(owner: type, name: str) -> Callable[..., Any]:
    """Stand in for ``getattr``, by which pickle stores the methods of ``HistoryBuffer``; anything else is refused."""
    if owner is not HistoryBuffer or name.startswith('_') or not hasattr(HistoryBuffer, name):
        raise pickle.UnpicklingError(
            f'The checkpoint asks for the attribute {name!r} of {owner!r}, which no Runner stores: load it with '
            '`torch.load(file, weights_only=False)` only if you trust where it comes from.'
        )
    return getattr(HistoryBuffer, name)
