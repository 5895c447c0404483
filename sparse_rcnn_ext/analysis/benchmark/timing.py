"""Two sides measured in turns, so that what slows the machine down for a while slows both."""

import gc
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import NamedTuple

import torch
from tqdm import tqdm

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
