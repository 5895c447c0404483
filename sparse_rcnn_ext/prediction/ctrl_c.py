"""Ctrl-C as a wish, not as an accident."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, current_thread, main_thread


@contextmanager
def note_ctrl_c() -> Iterator[Event]:
    """An event that the first Ctrl-C sets, so that nothing is broken off while it is written; the second interrupts.

    Where Python's own handler is not in place, or in another thread than the main one, everything stays as it is.
    """
    wish = Event()
    if current_thread() is not main_thread() or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield wish
        return

    def note(*_) -> None:
        wish.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, note)
    try:
        yield wish
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
