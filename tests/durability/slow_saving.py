"""Saving in slow motion, so that a training can be killed at each moment of it."""

import os
import signal
import time
from itertools import count
from pathlib import Path


def slow_saving(seconds: float, last: int | None) -> None:
    """Stretch each moment of saving a file: when half of it is written, when it all is, and when it has its name.

    Args:
        seconds: What a moment takes.
        last: The moment, from 1, in which the process kills itself; None: it lives.
    """
    write, replace, moments = Path.open, Path.replace, count(1)

    def moment() -> None:
        if next(moments) == last:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(seconds)

    class HalfWritten:
        def __init__(self, file) -> None:
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *error) -> None:
            self.file.close()

        def __getattr__(self, name: str):
            return getattr(self.file, name)

        def write(self, content: bytes) -> None:
            self.file.write(content[: len(content) // 2])
            self.file.flush()
            moment()
            self.file.write(content[len(content) // 2 :])

    def open_slowly(path: Path, mode: str = 'r', **options):
        file = write(path, mode, **options)
        return HalfWritten(file) if mode == 'wb' and path.name.endswith('.tmp') else file

    def replace_slowly(path: Path, target: Path) -> Path:
        moment()
        result = replace(path, target)
        moment()
        return result

    Path.open, Path.replace = open_slowly, replace_slowly
