"""Signals with a handler of Python's, and the processes that are forked meanwhile."""

import os
import signal
import threading
from collections.abc import Mapping
from functools import cache

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
    _register()
    _handlers.clear()
    _handlers.update((number, (ours, handler)) for number, handler in handlers.items())


@cache
def _register() -> None:
    """Once: it cannot be undone."""
    os.register_at_fork(before=_block, after_in_parent=_unblock, after_in_child=_restore)


def _block() -> None:
    _masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, _handlers)


def _restore() -> None:
    for number, (ours, handler) in _handlers.items():
        if signal.getsignal(number) == ours:
            signal.signal(number, handler or signal.SIG_DFL)
    _unblock()


def _unblock() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _masks.before)
