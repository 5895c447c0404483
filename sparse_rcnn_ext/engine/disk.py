"""Errors of a disk that is full, or must not be written, in one sentence."""

import errno
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import UserError

_FULL = 'free some space; a training goes on with --resume, as the checkpoints written before are whole'
_CLOSED = 'give a folder that can be written; that of a training is --work-dir FOLDER'
_ADVICE = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: _FULL,
    errno.EROFS: _CLOSED,
    errno.EACCES: _CLOSED,
    errno.EPERM: _CLOSED,
}


def writing_failed(path: Path, error: OSError) -> UserError:
    """The sentence for a file or folder that could not be written."""
    advice = _ADVICE.get(error.errno, 'see to that disk; a training goes on with --resume')
    return UserError(f'{path} cannot be written ({error.strerror or error}): {advice}')


@contextmanager
def explain_disk_errors(folder: str | Path) -> Iterator[None]:
    """Turn the errors of writing below ``folder``, the run's, into a :class:`UserError`; others pass.

    Checkpoints explain theirs already; this is for logs and for the folder itself. A line that cannot be written to a
    log is lost without a traceback for each: what the run writes next says the same as an error.
    """
    before, logging.raiseExceptions = logging.raiseExceptions, False
    try:
        yield
    except OSError as error:
        path = Path(error.filename) if isinstance(error.filename, str) else Path(folder)
        if error.errno not in _ADVICE or not _concerns(path, Path(folder)):
            raise
        raise writing_failed(path, error) from error
    finally:
        logging.raiseExceptions = before


def _concerns(path: Path, folder: Path) -> bool:
    # A parent of the folder is what could not be made.
    path, folder = path.absolute(), folder.absolute()
    return path.is_relative_to(folder) or folder.is_relative_to(path)
