"""Workers of data loaders: what to do where one dies, and signals while they are forked."""

import os
import re
import signal
import threading
import time
from collections.abc import Callable, Mapping
from functools import cache
from multiprocessing import active_children

import torch

from sparse_rcnn_ext.errors import UserError

_PATIENCE = 15.0
"""Seconds that a busy machine may take to end a process that is dying."""

# Three sentences of torch.
_LOST = re.compile(
    r'DataLoader worker \(pid\(?s?\)? [\d, ]+\) (?:is killed by signal: (.+?)\. ?|exited unexpectedly)'
    r'|Pin memory thread exited unexpectedly'
)


def explain_lost_worker(run: Callable[[], object]) -> None:
    """Call `run`; the error by which torch reports a lost worker becomes a UserError that the process is to end with.

    torch reports it once, at any point of the main process, so that no data loader or hook could catch it.
    """
    try:
        try:
            run()
        except (ConnectionError, EOFError):
            _wait_for_report()
            raise
    except RuntimeError as error:
        # Or torch reports another worker as well, that ends with the process.
        before = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        found = _LOST.search(str(error))
        if not found:
            signal.signal(signal.SIGCHLD, before)
            raise
        # The others would write tracebacks once nobody listens to them.
        for worker in active_children():
            worker.kill()
            worker.join()
        cause = f' (signal: {found[1]})' if found[1] else ''
        raise UserError(
            f'a worker of the data loader died{cause}, most often because the machine ran out of memory: set '
            'train_dataloader.num_workers or batch_size lower, and go on from the last checkpoint with --resume'
        ) from error


def _wait_for_report() -> None:
    """Raise torch's error if a worker ends.

    Where the main process was waiting for a tensor, the connection breaks a moment before the worker has ended.
    """
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        torch._C._error_if_any_worker_fails()
        time.sleep(0.1)


_handlers: dict[int, tuple[object, object]] = {}
_masks = threading.local()


def restore_at_fork(handlers: Mapping[int, object], ours: object = None) -> None:
    """Give forked processes these handlers, and let no signal be lost that comes before they have them.

    Python runs a handler of its own between two instructions: a signal that comes just before a process waits for a
    lock, or before Python is set up in it, has no effect. A Pool that ends its workers by SIGTERM then waits for ever.

    Args:
        handlers: From the number of a signal to its handler; None is the system's. Replaces those of the last call.
        ours: The handler in whose place they come; a signal that has another by then keeps that.
    """
    _register_at_fork()
    _handlers.clear()
    _handlers.update((number, (ours, handler)) for number, handler in handlers.items())


@cache
def _register_at_fork() -> None:
    """Once: it cannot be undone."""
    os.register_at_fork(before=_block_signals, after_in_parent=_unblock_signals, after_in_child=_restore_handlers)


def _block_signals() -> None:
    _masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, _handlers)


def _restore_handlers() -> None:
    for number, (ours, handler) in _handlers.items():
        if signal.getsignal(number) == ours:
            signal.signal(number, handler or signal.SIG_DFL)
    _unblock_signals()


def _unblock_signals() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _masks.before)
