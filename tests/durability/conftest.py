"""The small training as a program of its own."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SOAK = bool(os.environ.get('SOAK'))
"""Whether tests take their long forms: `make soak`."""

PROGRAM = Path(__file__).with_name('small_training.py')
TORCHRUN = ['-m', 'torch.distributed.run', '--standalone', '--local-addr', '127.0.0.1', '--nproc-per-node', '2']


@pytest.fixture(scope='session')
def start(python, tool_environment) -> Iterator[Callable[..., subprocess.Popen]]:
    """``start(work_dir, *arguments, torchrun=…)`` starts it; all that it prints goes to a file beside ``work_dir``."""
    started = []

    def run(work_dir: Path, *arguments: object, torchrun: list[str] | None = None) -> subprocess.Popen:
        launcher = [] if torchrun is None else [*TORCHRUN, *torchrun]
        with beside(work_dir, '.txt').open('a') as output:
            process = subprocess.Popen(
                [python, *launcher, str(PROGRAM), str(work_dir), *map(str, arguments)],
                env=tool_environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        started.append(process)
        return process

    yield run
    # A test that failed did not wait for its own.
    for process in started:
        process.kill()


def beside(work_dir: Path, ending: str) -> Path:
    """A file of the trainings in ``work_dir``: .txt is all that they printed, .pid the number of the last one."""
    return work_dir.with_name(work_dir.name + ending)


def output_of(work_dir: Path) -> str:
    """What the trainings in ``work_dir`` printed."""
    path = beside(work_dir, '.txt')
    return path.read_text() if path.exists() else ''


def kill(work_dir: Path) -> None:
    """``kill -9`` for the training itself, not for what stands for it in ``start``."""
    os.kill(int(beside(work_dir, '.pid').read_text()), signal.SIGKILL)
