"""Reads detectron2's .pkl checkpoints without running code from them."""

import codecs
import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np


class RefusedError(pickle.UnpicklingError):
    """A pickle names something besides NumPy arrays and plain containers; the text is its name."""


def load_plain_pickle(path: str) -> object:
    """What a pickle holds, of NumPy arrays, numbers, text and plain containers.

    Args:
        path: The file, of Python 2 or 3.

    Raises:
        RefusedError: If it names any other class or function.
    """
    with Path(path).open('rb') as file:
        # Text of Python 2 is bytes; detectron2 reads it in this way too.
        return _PlainUnpickler(file, encoding='latin1').load()


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise RefusedError(f'{module}.{name}') from None


def _bytes_of(text: str, encoding: str) -> bytes:
    """Stand in for ``_codecs.encode``, by which pickles for Python 2 hold bytes; other codecs may do anything."""
    if encoding != 'latin1':
        raise RefusedError(f'the codec {encoding}')
    return codecs.encode(text, 'latin1')


def _allowed() -> dict[tuple[str, str], object]:
    allowed = {
        ('collections', 'OrderedDict'): OrderedDict,
        ('_codecs', 'encode'): _bytes_of,
        # Without any bytes to encode, pickles for Python 2 call this.
        ('__builtin__', 'bytes'): bytes,
        ('numpy', 'ndarray'): np.ndarray,
        ('numpy', 'dtype'): np.dtype,
    }
    # NumPy 1 and 2 have two names for each.
    for package in ('numpy.core', 'numpy._core'):
        allowed[f'{package}.multiarray', '_reconstruct'] = np.empty(1).__reduce__()[0]
        allowed[f'{package}.multiarray', 'scalar'] = np.float64(0).__reduce__()[0]
        allowed[f'{package}.numeric', '_frombuffer'] = np.empty(1).__reduce_ex__(5)[0]
    return allowed


_ALLOWED = _allowed()
