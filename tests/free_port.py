"""Ports for what tests start and connect to."""

import os
import socket
from contextlib import suppress
from itertools import cycle

# Those that jobs of Slurm get, below the ones that the system gives to whoever asks for any.
FIRST, LAST = 20000, 29999
EACH = 1000
"""So many to each process of pytest-xdist, so that tests that run side by side do not meet."""


def _own_range() -> list[int]:
    """This process's ports, from one that other runs of the suite on this machine hardly begin with."""
    worker = int(os.environ.get('PYTEST_XDIST_WORKER', 'gw0').removeprefix('gw'))
    first = FIRST + worker * EACH % (LAST + 1 - FIRST)
    start = os.getpid() % EACH
    return [first + (start + step) % EACH for step in range(EACH)]


_candidates = cycle(_own_range())


def free_port() -> int:
    """The next of this process's ports on which nobody listens; no two calls get the same one soon.

    Raises:
        OSError: If all of them are taken.
    """
    for _ in range(EACH):
        port = next(_candidates)
        with suppress(OSError), socket.socket() as probe:
            probe.bind(('', port))
            return port
    raise OSError('no free port for a test')
