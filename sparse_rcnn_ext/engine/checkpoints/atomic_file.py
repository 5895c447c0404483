"""Files that are whole or not there, and what is said of a disk that is full or must not be written."""

import errno
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

from sparse_rcnn_ext.errors import UserError

TEMPORARY = '.tmp'
"""At the end of a file's name: it is being written, or was when its process died."""


def write_atomically(path: str | Path, content: bytes) -> None:
    """Write a file such that whoever reads it, also after a crash, finds all of the old content or all of the new.

    Raises:
        UserError: If that fails, as on a full disk; then the old content is still there, and nothing else.
    """
    descriptor = write_temporary(path, content)
    try:
        finish(path, descriptor)
    finally:
        os.close(descriptor)


def write_temporary(path: str | Path, content: bytes) -> int:
    """The first half of :func:`write_atomically`: the content is with the system, perhaps not on the disk yet.

    Returns:
        A descriptor of what is written, for :func:`finish`; to be closed.

    Raises:
        UserError: As there.
    """
    path = Path(path)
    # In the same folder, because only within a file system is a renaming atomic.
    temporary = path.with_name(path.name + TEMPORARY)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open('wb') as file:
            file.write(content)
            file.flush()
            return os.dup(file.fileno())
    except OSError as error:
        raise _given_up(path, temporary, error) from error


def finish(path: str | Path, descriptor: int) -> None:
    """The second half: the content goes to the disk, and gets its name.

    Raises:
        UserError: As :func:`write_atomically`.
    """
    path = Path(path)
    temporary = path.with_name(path.name + TEMPORARY)
    try:
        # A renaming may reach the disk before the content does.
        os.fsync(descriptor)
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise _given_up(path, temporary, error) from error


def _given_up(path: Path, temporary: Path, error: OSError) -> UserError:
    with suppress(OSError):
        temporary.unlink()
    return writing_failed(path, error)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        # Some network file systems cannot, and need not.
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


class AtomicLocalBackend(LocalBackend):
    """Files of this machine, written by :func:`write_atomically`; ``backend_args=dict(backend=ATOMIC)`` asks for it."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes."""
        write_atomically(filepath, obj)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = 'utf-8') -> None:
        """Write text."""
        write_atomically(filepath, obj.encode(encoding))


ATOMIC = 'sparse_rcnn_ext.atomic'

register_backend(ATOMIC, AtomicLocalBackend)


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
