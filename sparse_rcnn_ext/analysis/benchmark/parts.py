"""How the time of one run splits into parts, by waiting for the device wherever a part begins and ends."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps

from .timing import Measure, wait

REST = 'rest'
Point = tuple[object, str, str]
"""An object, the name of its method, and the part that runs in it."""


class PartClock:
    """Gives every moment to the innermost part that is under way, so that parts add up to the whole.

    Args:
        device: Where the work runs.
        names: The parts, in the order in which to report them; what is in none of them is the rest.
    """

    def __init__(self, device: str, names: Iterable[str]) -> None:
        self.device = device
        self.names = tuple(names)
        self._seconds: dict[str, float] = {}
        self._under_way: list[str] = []
        self._since = 0.0

    def run(self, work: Callable[[], object]) -> dict[str, float]:
        """Do the work; seconds of each part, and of the rest."""
        self._seconds = dict.fromkeys((*self.names, REST), 0.0)
        self._under_way = [REST]
        wait(self.device)
        self._since = time.perf_counter()
        work()
        self._charge()
        return self._seconds

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """The block belongs to the part ``name``."""
        self._charge()
        self._under_way.append(name)
        try:
            yield
        finally:
            self._charge()
            self._under_way.pop()

    def _charge(self) -> None:
        wait(self.device)
        now = time.perf_counter()
        self._seconds[self._under_way[-1]] += now - self._since
        self._since = now


def timed_parts(work: Callable[[], object], points: Iterable[Point], device: str) -> Measure:
    """A measure of the parts of ``work``.

    Args:
        work: What to run.
        points: Which methods are which part; a method may run within another's. They are as they were afterwards.
        device: Where the work runs.
    """
    points = list(points)
    clock = PartClock(device, dict.fromkeys(name for _, _, name in points))

    def measure() -> dict[str, float]:
        with ExitStack() as stack:
            for owner, method, name in points:
                stack.enter_context(_clocked(clock, owner, method, name))
            return clock.run(work)

    return measure


@contextmanager
def _clocked(clock: PartClock, owner: object, method: str, name: str) -> Iterator[None]:
    original = getattr(owner, method)

    @wraps(original)
    def with_clock(*args, **kwargs):
        with clock.part(name):
            return original(*args, **kwargs)

    is_own = method in vars(owner)
    setattr(owner, method, with_clock)
    try:
        yield
    finally:
        if is_own:
            setattr(owner, method, original)
        else:
            delattr(owner, method)
