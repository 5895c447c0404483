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


def floors(counts: Sequence[int], sizes: Sequence[int], every: int) -> tuple[list[int], list[int]]:
    """The least size of each ``every`` counts, and the first count of each: what a leak raises.

    An evaluation gives back some memory that the training then takes again, which would blur a slope of all samples.
    """
    windows: dict[int, list[int]] = {}
    for count, size in zip(counts, sizes, strict=True):
        windows.setdefault((count - counts[0]) // every * every + counts[0], []).append(size)
    return list(windows), [min(window) for window in windows.values()]


def memory_of(process: int) -> int:
    """Bytes of a process in memory (RSS).

    Not its share of what several processes have (PSS): that changes with whatever else runs on the machine, and grows
    while a process writes to pages that it had in common with its workers, which takes no memory of theirs.
    """
    for line in Path(f'/proc/{process}/smaps_rollup').read_text().splitlines():
        name, _, rest = line.partition(':')
        if name == 'Rss':
            return 1024 * int(rest.split()[0])
    raise KeyError('Rss')


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
