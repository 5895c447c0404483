"""A fuzzed call that hangs fails, and stops nothing else."""

import os
import signal
from collections.abc import Callable, Iterator

import pytest

TIMES = int(os.environ.get('FUZZ_TIMES', '1'))
"""How many times as many cases as usual: FUZZ_TIMES=8 makes them more than 2,000."""

TIMERS = {signal.ITIMER_PROF: (signal.SIGPROF, 20), signal.ITIMER_REAL: (signal.SIGALRM, 600)}
"""Seconds for a case, which takes a fraction of one: of this process's CPU time, and of any, as a wait takes no CPU."""


class HangError(BaseException):
    """No Exception, so that nothing takes it for an error of what was fuzzed."""


@pytest.fixture
def no_hang() -> Iterator[Callable[[], None]]:
    """``no_hang()`` starts the time of a case anew; a case that takes longer is a failure."""

    def late(number: int, frame: object) -> None:
        raise HangError(f'{signal.Signals(number).name}: a case took too long')

    def start() -> None:
        for timer, (_, seconds) in TIMERS.items():
            signal.setitimer(timer, seconds)

    before = {number: signal.signal(number, late) for number, _ in TIMERS.values()}
    yield start
    for timer in TIMERS:
        signal.setitimer(timer, 0)
    for number, handler in before.items():
        signal.signal(number, handler)
