"""Files that are whole or not there."""

import os
from contextlib import suppress
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

from .disk import writing_failed
from .errors import UserError

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
