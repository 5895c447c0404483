"""What of saving a checkpoint takes long, while the training goes on."""

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from mmengine.fileio import register_backend

from .atomic_file import AtomicLocalBackend, finish, write_temporary


class BackgroundWriter:
    """Does jobs one after another in a thread. After one that fails, those behind it are left undone.

    A process that ends does all of its jobs first. What is forked meanwhile has none. To be called in one thread.
    """

    def __init__(self) -> None:
        self._executor: ThreadPoolExecutor | None = None
        self._last: Future | None = None
        self._error: BaseException | None = None
        self._descriptors: set[int] = set()
        os.register_at_fork(after_in_child=self._forget)

    def submit(self, job: Callable[..., None], *args: object) -> None:
        """Do ``job(*args)`` when those before it are done. It must not log: who forks may find the log locked."""
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1, 'background-writer')
        self._last = self._executor.submit(self._do, job, *args)

    def write(self, path: str | Path, content: bytes) -> None:
        """Write a file as :func:`~.atomic_file.write_atomically` does, and wait for no disk.

        The system has the content when this returns, and this process need not keep it; what is left is a job. Waits
        for those before.

        Raises:
            UserError: If that fails, or a job before it has.
        """
        self.wait()
        descriptor = write_temporary(path, content)
        self._descriptors.add(descriptor)
        self.submit(self._finish, path, descriptor)

    def wait(self) -> None:
        """Return when all is done.

        Raises:
            UserError: If a job has failed, once.
        """
        error = self.give_up()
        if error is not None:
            raise error

    def check(self) -> None:
        """Raise what a job has failed with, as :meth:`wait`, but wait for none."""
        if self._error is not None:
            # For those behind it, lest they are done once it is forgotten.
            self.wait()

    def give_up(self) -> BaseException | None:
        """Return what a job has failed with, if one has, when all is done: to begin anew."""
        last, self._last = self._last, None
        if last is not None:
            last.result()
        error, self._error = self._error, None
        return error

    def _do(self, job: Callable[..., None], *args: object) -> None:
        if self._error is None:
            try:
                job(*args)
            except BaseException as error:
                self._error = error

    def _finish(self, path: str | Path, descriptor: int) -> None:
        try:
            finish(path, descriptor)
        finally:
            # In this order: once closed, the number may be that of another file.
            self._descriptors.discard(descriptor)
            os.close(descriptor)

    def _forget(self) -> None:
        """A data loader's worker would keep the space of a deleted checkpoint; and it lacks the thread."""
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors = set()
        self._executor = self._last = self._error = None


WRITER = BackgroundWriter()
"""The one of this process."""


class BackgroundLocalBackend(AtomicLocalBackend):
    """Files of this machine, written by :data:`WRITER`; ``backend_args=dict(backend=BACKGROUND)`` asks for it."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes; the file is there when ``WRITER.wait()`` returns."""
        WRITER.write(filepath, obj)


BACKGROUND = 'sparse_rcnn_ext.background'

register_backend(BACKGROUND, BackgroundLocalBackend)
