"""One side in a process of its own, where nothing of the other's is left behind, and how much memory that has."""

import gc
import json
import os
import pkgutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from subprocess import PIPE, Popen

import torch

from sparse_rcnn_ext.errors import UserError

from .contestants import OURS
from .settings import REPO, Setting
from .training_step import build_steps

CHILD = f'import sys; from {__name__} import main; main(*sys.argv[1:])'
MARK = 'answer: '


@contextmanager
def side_process(
    name: str, setting: Setting, job: str, environment: Mapping[str, str] | None = None
) -> Iterator[Callable[[], dict[str, float]]]:
    """A process that has one side's training step ready, and does a job with it each time that it is asked.

    Args:
        name: ``'ours'`` or ``'mmdet'``.
        setting: A settled setting.
        job: ``'module:function'`` of a function that takes the :class:`TrainingStep` and returns numbers by name.
        environment: Variables of the process besides those of this one.

    Yields:
        A function that has the job done once and returns what it returned. It raises UserError if the process ends
        instead.
    """
    variables = os.environ | {
        'PYTHONPATH': os.pathsep.join(filter(None, [str(REPO), os.environ.get('PYTHONPATH', '')])),
        'OMP_NUM_THREADS': str(torch.get_num_threads()),
        **(environment or {}),
    }
    command = [sys.executable, '-c', CHILD, name, json.dumps(asdict(setting)), job]
    with (
        tempfile.TemporaryFile('w+') as complaints,
        Popen(command, env=variables, stdin=PIPE, stdout=PIPE, stderr=complaints, text=True, bufsize=1) as process,
    ):

        def ask() -> dict[str, float]:
            # Of a process that has ended, what it said is told below.
            with suppress(BrokenPipeError):
                process.stdin.write('\n')
            for line in process.stdout:
                if line.startswith(MARK):
                    return json.loads(line.removeprefix(MARK))
            code = process.wait()
            complaints.seek(0)
            last = (complaints.read().strip().splitlines() or ['it said nothing'])[-1]
            raise UserError(f'the process of {name} ended with code {code}: {last}')

        try:
            yield ask
        finally:
            process.kill()


def main(name: str, setting: str, job: str) -> None:
    """The process: one answer for each line of stdin."""
    given = json.loads(setting)
    given['size'] = tuple(given['size'])
    ours, theirs, _ = build_steps(Setting(**given))
    step = ours if name == OURS else theirs
    # The other side's weights must go before the step.
    del ours, theirs
    gc.collect()
    work = pkgutil.resolve_name(job)
    for _ in sys.stdin:
        print(f'{MARK}{json.dumps(work(step))}', flush=True)


STATUS, RESET = Path('/proc/self/status'), Path('/proc/self/clear_refs')


def check_proc() -> None:
    """Raise UserError where the kernel does not tell."""
    if not RESET.exists():
        raise UserError('peak memory on the CPU is read from /proc, which this system lacks: measure it on Linux')


def reset_peak() -> None:
    """Let the high-water mark fall to what is there now, see proc(5)."""
    RESET.write_text('5')


def resident(key: str) -> int:
    """Bytes in memory: ``'VmRSS'`` now, ``'VmHWM'`` at most since the mark was set back."""
    (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith(f'{key}:'))
    return int(line.split()[1]) * 1024
