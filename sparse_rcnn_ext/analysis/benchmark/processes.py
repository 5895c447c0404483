"""Training steps in processes of their own: as a user of either side has them, and their peak memory.

A fresh process has nothing of the other side's left in it. Peak memory of a step, see :func:`measure_memory`:

- CPU: the kernel's own high-water mark of resident memory (``VmHWM``), set back before the step. It counts everything,
  oneDNN's scratch space and Python's objects too. glibc is told to hand large blocks back at once
  (``MALLOC_MMAP_THRESHOLD_``), or what was free would count as used.
- CUDA: ``torch.cuda.max_memory_allocated``, likewise set back.

The step that counts is the third: gradients are forgotten then, and the optimizer has its state. Reported is the peak
above that state, and the peak with weights and optimizer state in it.
"""

import gc
import json
import os
import pkgutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from subprocess import PIPE, Popen

import torch

from sparse_rcnn_ext.engine.hooks.speed import keep_freed_memory
from sparse_rcnn_ext.errors import UserError

from .contestants import OURS, THEIRS
from .settings import REPO, Setting
from .timing import BYTES, Comparison, Result, alternate, progress, wait
from .training_step import STEP, TrainingStep, build_steps

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


PEAK, WITH_STATE = 'peak of a training step', 'peak with weights and optimizer state'
WARM_UPS = 2
PEAK_JOB = f'{__name__}:peak_of_step'
ENVIRONMENT = {'MALLOC_MMAP_THRESHOLD_': str(128 * 1024)}


def measure_memory(setting: Setting) -> Result:
    """Bytes of a training step at its peak.

    Args:
        setting: A settled setting. ``rounds`` is how many processes of each side are asked.

    Raises:
        UserError: If this system does not tell, or a process fails.
    """
    if setting.device == 'cpu':
        check_proc()
    found: dict[str, list[dict[str, int]]] = {OURS: [], THEIRS: []}
    with progress(2 * setting.rounds, 'peak memory') as bar:
        for _ in range(setting.rounds):
            for name, peaks in found.items():
                with side_process(name, setting, PEAK_JOB, ENVIRONMENT) as ask:
                    peaks.append(ask())
                bar.update()
    comparisons = [
        Comparison(what, BYTES, *(tuple(peaks[what] for peaks in side) for side in found.values()))
        for what in (PEAK, WITH_STATE)
    ]
    how = 'torch.cuda.max_memory_allocated' if setting.device == 'cuda' else 'resident memory, by the kernel'
    return Result('memory', setting, comparisons, [f'Each in a process of its own: {how}.'])


def peak_of_step(step: TrainingStep) -> dict[str, int]:
    """Bytes of the third step: above the state before it, and with that state."""
    for _ in range(WARM_UPS):
        step.run()
    device = step.contestant.device
    wait(device)
    if device == 'cuda':
        state = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        step.run()
        wait(device)
        peak = torch.cuda.max_memory_allocated()
        return {PEAK: peak - state, WITH_STATE: peak}
    reset_peak()
    before = resident('VmRSS')
    step.run()
    above = resident('VmHWM') - before
    state = sum(tensor.nbytes for tensor in _lasting_tensors(step))
    return {PEAK: above, WITH_STATE: above + state}


def _lasting_tensors(step: TrainingStep) -> list[torch.Tensor]:
    """Weights, buffers, optimizer state and images."""
    states = [value for state in step.optimizer.state.values() for value in state.values()]
    tensors = [value for value in states if isinstance(value, torch.Tensor)]
    return [*tensors, *step.model.parameters(), *step.model.buffers(), step.images]


PROCESS = 'largest resident size of the process'
SHIPPED_JOB = f'{__name__}:run_as_shipped'


def measure_shipped(setting: Setting) -> Result:
    """Seconds of a training step, and how large the process became.

    On the CPU ours runs under :class:`CpuMemoryHook`, as any of our recipes does, and mmdet without. So memory
    handling counts too; :func:`measure_training` compares code alone.

    Args:
        setting: A settled setting.

    Raises:
        UserError: If this system does not tell the size of a process, or a process fails.
    """
    check_proc()
    with side_process(OURS, setting, SHIPPED_JOB) as ours, side_process(THEIRS, setting, SHIPPED_JOB) as theirs:
        step, size = alternate(ours, theirs, setting.rounds, STEP, max(setting.warm_ups, 2))
    notes = ['Each in a process of its own, with the memory settings that its recipes train with.']
    return Result('shipped', setting, [step, size._replace(unit=BYTES)], notes)


def run_as_shipped(step: TrainingStep) -> dict[str, float]:
    """Seconds of one step, and bytes of the process at its largest since the first."""
    device = step.contestant.device
    if not step.optimizer.state:
        if device == 'cpu' and step.contestant.is_ours:
            keep_freed_memory()
        reset_peak()
    wait(device)
    before = time.perf_counter()
    step.run()
    wait(device)
    return {STEP: time.perf_counter() - before, PROCESS: resident('VmHWM')}
