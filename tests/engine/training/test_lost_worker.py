"""Workers that die, really."""

import os
import signal
import sys
from itertools import count
from types import SimpleNamespace

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from sparse_rcnn_ext.engine.training import workers
from sparse_rcnn_ext.engine.training.workers import explain_lost_worker
from sparse_rcnn_ext.errors import UserError

KILLED = r'( \(signal: Killed\))?'
REPORT = 'DataLoader worker (pid 7) is killed by signal: Killed. '


class Deadly(Dataset):
    """Its fourth item ends the process that asks for it."""

    def __init__(self, code: int | None) -> None:
        self.code = code

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> torch.Tensor:
        if index == 3:
            if self.code is None:
                os.kill(os.getpid(), signal.SIGKILL)
            os._exit(self.code)
        return torch.zeros(1)


# Torch may notice either the signal or the silence.
@pytest.mark.parametrize(('code', 'workers', 'cause'), [(None, 1, KILLED), (None, 2, KILLED), (3, 1, '')])
def test_a_sentence(code, workers, cause):
    before = signal.getsignal(signal.SIGCHLD)
    iterator = iter(DataLoader(Deadly(code), num_workers=workers))
    try:
        sentence = rf'data loader died{cause}, most often .* with --resume$'
        with pytest.raises(UserError, match=sentence):
            explain_lost_worker(lambda: list(iterator))
        # The other worker ends, and torch says nothing more.
        iterator._shutdown_workers()
    finally:
        signal.signal(signal.SIGCHLD, before)


def lose_the_connection() -> None:
    raise ConnectionResetError


@pytest.mark.parametrize(('seconds', 'expected'), [(10, UserError), (30, ConnectionResetError)])
def test_a_busy_machine_takes_long_to_end_a_worker(monkeypatch, seconds, expected):
    """And where no worker ends, the error stays what it was."""
    clock = count()

    def report() -> None:
        if next(clock) >= seconds:
            raise RuntimeError(REPORT)

    monkeypatch.setattr(torch._C, '_error_if_any_worker_fails', report)
    monkeypatch.setattr(workers, 'time', SimpleNamespace(monotonic=lambda: next(clock), sleep=lambda _: None))
    before = signal.getsignal(signal.SIGCHLD)
    try:
        with pytest.raises(expected):
            explain_lost_worker(lose_the_connection)
    finally:
        signal.signal(signal.SIGCHLD, before)


@pytest.mark.parametrize('moment', range(20))
def test_torch_notices_while_the_broken_connection_is_dealt_with(monkeypatch, moment):
    """Its signal handler runs between any two calls, and it reports a worker once."""
    events, reports = count(), [RuntimeError(REPORT)]

    def report(*_) -> None:
        if reports:
            raise reports.pop()

    def signal_at_the_moment(*_) -> None:
        if next(events) == moment:
            sys.setprofile(None)
            signal.raise_signal(signal.SIGCHLD)

    def run() -> None:
        sys.setprofile(signal_at_the_moment)
        raise EOFError

    monkeypatch.setattr(torch._C, '_error_if_any_worker_fails', report)
    before = signal.signal(signal.SIGCHLD, report)
    try:
        with pytest.raises(UserError, match='data loader died'):
            explain_lost_worker(run)
    finally:
        sys.setprofile(None)
        signal.signal(signal.SIGCHLD, before)


def test_other_errors_stay():
    def run() -> None:
        raise RuntimeError('sizes differ')

    with pytest.raises(RuntimeError, match='sizes'):
        explain_lost_worker(run)
