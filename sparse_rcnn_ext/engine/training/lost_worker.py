"""A data loader's worker that dies: say what to do."""

import re
import signal
import time
from collections.abc import Callable
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
