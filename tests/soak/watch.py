"""Memory, open files and children of a process, as Linux counts them."""

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

PAGE = 4096
MB = 2**20


@dataclass
class Watch:
    """Samples a process and its children until it ends, or until ``stop``."""

    pid: int
    interval: float = 0.25
    resident: dict[int, list[tuple[float, int]]] = field(default_factory=dict)
    """By process: times, in seconds since the start, and bytes in memory."""
    files: list[tuple[float, int]] = field(default_factory=list)
    """Times, and how many file descriptors the process itself has."""

    def __post_init__(self) -> None:
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        """Take no more samples."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        start = time.monotonic()
        while not self._stopped.wait(self.interval):
            now = time.monotonic() - start
            try:
                self.files.append((now, len(list(Path(f'/proc/{self.pid}/fd').iterdir()))))
                for pid in (self.pid, *children(self.pid)):
                    self.resident.setdefault(pid, []).append((now, resident(pid)))
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                # It ended meanwhile.
                continue


def resident(pid: int) -> int:
    """Bytes in memory."""
    return int(Path(f'/proc/{pid}/statm').read_text().split()[1]) * PAGE


def children(pid: int) -> list[int]:
    """The processes that a process started."""
    found = []
    for thread in Path(f'/proc/{pid}/task').iterdir():
        found += map(int, (thread / 'children').read_text().split())
    return found


def slope(samples: list[tuple[float, float]], after: float) -> float:
    """Of the straight line through the samples beyond ``after``, by least squares."""
    x, y = np.array([sample for sample in samples if sample[0] > after], dtype=float).T
    return float(np.polyfit(x, y, 1)[0])
