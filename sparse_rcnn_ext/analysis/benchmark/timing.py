"""Two sides measured in turns, so that what slows the machine down for a while slows both; by parts, too."""

import gc
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from statistics import median
from typing import NamedTuple

import torch
from tqdm import tqdm

from .settings import Setting

Measure = Callable[[], dict[str, float]]
"""Does the work once and returns what it measured, by name."""

SECONDS, BYTES = 's', 'B'


class Comparison(NamedTuple):
    """One quantity of both sides; less is better."""

    name: str
    unit: str
    """``'s'`` or ``'B'``."""
    ours: tuple[float, ...]
    theirs: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """By medians: for times, how many times faster ours is; for memory, ours as a share of mmdet's."""
        ours, theirs = median(self.ours), median(self.theirs)
        return ours / theirs if self.unit == BYTES else theirs / ours


def alternate(ours: Measure, theirs: Measure, rounds: int, what: str, warm_ups: int = 0) -> list[Comparison]:
    """Measure ours, mmdet's, ours, mmdet's, and so on.

    Args:
        ours: Our side.
        theirs: mmdet's; it measures the same names.
        rounds: How often each is measured.
        what: For the progress bar.
        warm_ups: Rounds before that, which do not count.

    Returns:
        One comparison of seconds for each name, in the order of ours.
    """
    found: dict[str, list[dict[str, float]]] = dict(ours=[], theirs=[])
    gc.collect()
    with progress(2 * (warm_ups + rounds), what) as bar:
        for turn in range(warm_ups + rounds):
            for side, measure in (('ours', ours), ('theirs', theirs)):
                seconds = measure()
                if turn >= warm_ups:
                    found[side].append(seconds)
                bar.update()
    return [
        Comparison(name, SECONDS, *(tuple(seconds[name] for seconds in found[side]) for side in ('ours', 'theirs')))
        for name in found['ours'][0]
    ]


def timed(work: Callable[[], object], name: str, device: str) -> Measure:
    """A measure of how long ``work`` takes until the device is done with it."""

    def measure() -> dict[str, float]:
        wait(device)
        before = time.perf_counter()
        work()
        wait(device)
        return {name: time.perf_counter() - before}

    return measure


def wait(device: str) -> None:
    """Until the GPU is done, if the work is there."""
    if device == 'cuda':
        torch.cuda.synchronize()


def progress(total: int, what: str) -> tqdm:
    """A bar on stderr; it is wiped when it is full."""
    # A terminal shows the bar as it moves; a file gets a line now and then.
    interval = 0.5 if sys.stderr.isatty() else 60.0
    return tqdm(total=total, desc=what, leave=False, mininterval=interval, maxinterval=interval)


class Result(NamedTuple):
    """Comparisons of one kind in one setting."""

    what: str
    """The word of the command line."""
    setting: Setting
    comparisons: list[Comparison]
    notes: list[str]
    """What was checked, and what a reader needs to know; sentences."""
    title: str = ''
    """Of the section, where the setting does not say it all."""

    def comparison(self, name: str) -> Comparison:
        """The comparison of that name."""
        return next(comparison for comparison in self.comparisons if comparison.name == name)


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
