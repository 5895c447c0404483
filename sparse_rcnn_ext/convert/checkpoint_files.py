"""Files of weights: detectron2's .pth and .pkl, read without running code from them, and mmengine's .pth."""

import codecs
import pickle
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sparse_rcnn_ext.engine.checkpoints.checkpoint_file import SUFFIX, read_checkpoint
from sparse_rcnn_ext.engine.checkpoints.trust import is_trusting
from sparse_rcnn_ext.engine.config.paths import make_folder
from sparse_rcnn_ext.engine.config.run_config import is_torch_file
from sparse_rcnn_ext.errors import UserError


def read_weights(path: str) -> dict[str, Tensor]:
    """The weights of a checkpoint by name, on the CPU; see :func:`read_weights_and_meta`."""
    return read_weights_and_meta(path)[0]


def read_weights_and_meta(path: str) -> tuple[dict[str, Tensor], Mapping]:
    """The weights of a checkpoint by name, on the CPU, and what mmengine writes about them under ``meta``, or nothing.

    Args:
        path: A file of torch.save, .safetensors, or a pickle of NumPy arrays. The weights are what it holds
            under ``state_dict`` (mmengine) or ``model`` (detectron2), else all of it.

    Raises:
        UserError: If there is no such file, it is no checkpoint, or holds anything that could run code
            (unless checkpoints are trusted).
    """
    if not Path(path).is_file():
        raise UserError(f'no checkpoint file {path}: the first argument must name one')
    content = _load(path)
    meta = content.get('meta') if isinstance(content, Mapping) else None
    if isinstance(content, Mapping):
        content = next((content[key] for key in ('state_dict', 'model') if key in content), content)
    if not isinstance(content, Mapping) or not content:
        raise UserError(f'{path} holds no weights by name: give a checkpoint of a detector')
    # Distributed training puts this before every name.
    state = {str(name).removeprefix('module.'): _tensor(value, name, path) for name, value in content.items()}
    return state, meta if isinstance(meta, Mapping) else {}


def write_ours(state: dict[str, Tensor], path: str, softmax: bool = False) -> None:
    """Write a checkpoint as tools/test.py and mmdet take it; the folder is made.

    Args:
        state: The weights.
        path: The file.
        softmax: Whether the last class is "no object", which the way back has to know.

    Raises:
        UserError: If the name does not end in .pth, or the folder cannot be written into.
    """
    _prepare(path, ('.pth',))
    torch.save(dict(meta=dict(softmax=True) if softmax else {}, state_dict=state), path)


def write_official(state: dict[str, Tensor], path: str) -> None:
    """Write a checkpoint as detectron2 takes it: torch's .pth, or a .pkl of NumPy arrays; the folder is made.

    Raises:
        UserError: If the name ends in neither, or the folder cannot be written into.
    """
    _prepare(path, ('.pth', '.pkl'))
    if path.endswith('.pth'):
        torch.save(dict(model=state), path)
        return
    arrays = {name: value.numpy() for name, value in state.items()}
    with Path(path).open('wb') as file:
        # detectron2 takes a file for one of its own only where it names an author.
        pickle.dump(dict(model=arrays, __author__='sparse_rcnn_ext'), file, protocol=4)


def _load(path: str) -> object:
    if is_torch_file(path) or path.endswith(SUFFIX):
        return read_checkpoint(path)
    try:
        return load_plain_pickle(path)
    except RefusedError as error:
        if is_trusting():
            return pickle.loads(Path(path).read_bytes(), encoding='latin1')
        raise UserError(
            f'{path} holds {error}, which could run code: give a file of NumPy arrays and plain containers alone, or '
            '--trust-checkpoint if you would run this one as a program'
        ) from error
    except Exception as error:
        # A damaged file can raise anything.
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f'{path} cannot be read as a checkpoint ({reason}): give another file') from error


def _tensor(value: object, name: str, path: str) -> Tensor:
    if isinstance(value, Tensor):
        return value
    if isinstance(value, np.ndarray) and value.dtype.kind in 'fiub':
        # A copy, for torch wants memory to write to, in this machine's order of bytes.
        return torch.from_numpy(np.array(value, dtype=value.dtype.newbyteorder('=')))
    raise UserError(f'{path} holds a {type(value).__name__} as {name}: give a checkpoint of tensors or NumPy arrays')


def _prepare(path: str, suffixes: tuple[str, ...]) -> None:
    if not path.endswith(suffixes):
        raise UserError(f'the second argument is {path}: give a file that ends in {" or ".join(suffixes)}')
    make_folder(Path(path).parent, 'that of the second argument')
    if Path(path).is_dir():
        raise UserError(f'the second argument is the folder {path}: give a file')


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
