"""The small training as a program of its own."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name('small_training.py')
TORCHRUN = ['-m', 'torch.distributed.run', '--standalone', '--local-addr', '127.0.0.1', '--nproc-per-node', '2']


@pytest.fixture(scope='session')
def start(repo_dir) -> Iterator[Callable[..., subprocess.Popen]]:
    """``start(work_dir, *arguments, torchrun=…)`` starts it; all that it prints goes to a file beside ``work_dir``."""
    started = []

    def run(work_dir: Path, *arguments: object, torchrun: list[str] | None = None) -> subprocess.Popen:
        launcher = [] if torchrun is None else [*TORCHRUN, *torchrun]
        environment = os.environ | dict(PYTHONPATH=str(repo_dir), OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='')
        with output_of(work_dir).open('a') as output:
            process = subprocess.Popen(
                [sys.executable, *launcher, str(PROGRAM), str(work_dir), *map(str, arguments)],
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        started.append(process)
        return process

    yield run
    # A test that failed did not wait for its own.
    for process in started:
        process.kill()


def output_of(work_dir: Path) -> Path:
    """Where the output of the trainings in ``work_dir`` is."""
    return work_dir.with_name(f'{work_dir.name}.txt')
