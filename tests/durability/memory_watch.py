"""How the memory of processes grows, what a piece of work leaves open, and whether that passes limits."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

WARM_UP = 0.25
"""Share of the samples at the beginning that do not count."""


class Figure(NamedTuple):
    """A line of the table of a soak."""

    name: str
    value: float
    limit: float
    unit: str

    @property
    def is_met(self) -> bool:
        """Whether the value is at most the limit; NaN is not."""
        return self.value <= self.limit


def table(figures: Sequence[Figure]) -> str:
    """One line for each, with its verdict."""
    width = max(len(figure.name) for figure in figures)
    return '\n'.join(
        f'{figure.name:{width}} {figure.value:10.3f} {figure.unit:18} at most {figure.limit:g}: '
        f'{"met" if figure.is_met else "PASSED"}'
        for figure in figures
    )


def slope(counts: Sequence[float], sizes: Sequence[float]) -> float:
    """Bytes that each count adds, by least squares over what comes after the warm-up; NaN of less than two samples.

    Args:
        counts: Of iterations or images, increasing.
        sizes: Bytes of the process then.
    """
    start = int(len(counts) * WARM_UP)
    counts, sizes = np.asarray(counts[start:], float), np.asarray(sizes[start:], float)
    if len(counts) < 2:
        return float('nan')
    counts = counts - counts.mean()
    return float(counts @ sizes / (counts @ counts))


def memory_of(process: int, *kinds: str) -> int:
    """Bytes of a process in memory, of these kinds together.

    ``Rss``: all. ``Pss_Anon`` and ``Pss_Shmem``: what is in no file; of pages that several processes have, each has its
    share. That of libraries' pages (``Pss_File``) changes with whatever else the machine runs.
    """
    lines = Path(f'/proc/{process}/smaps_rollup').read_text().splitlines()
    sizes = {name: rest for name, _, rest in (line.partition(':') for line in lines)}
    return sum(1024 * int(sizes[kind].split()[0]) for kind in kinds)


def children_of(process: int) -> list[int]:
    """The processes that a process has started and that have not ended."""
    tasks = Path(f'/proc/{process}/task').glob('*/children')
    return [int(number) for task in tasks for number in task.read_text().split()]


def open_files() -> Counter[str]:
    """What this process has open, by name, without the numbers of pipes and sockets."""
    found = Counter()
    for path in list(Path('/proc/self/fd').iterdir()):
        # The folder that is being listed is no longer there.
        if path.is_symlink():
            found[os.readlink(path).partition(':[')[0]] += 1  # noqa: PTH115
    return found
