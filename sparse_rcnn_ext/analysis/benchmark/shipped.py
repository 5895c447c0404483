"""A training step as a user of either has it: each in a process of its own, ours with the hooks of its configs."""

import time

from sparse_rcnn_ext.engine.hooks.cpu_memory import keep_freed_memory

from .contestants import OURS, THEIRS
from .process_memory import check_proc, reset_peak, resident
from .result import Result
from .settings import Setting
from .side_process import side_process
from .timing import BYTES, alternate, wait
from .training_step import STEP, TrainingStep

PROCESS = 'largest resident size of the process'
JOB = f'{__name__}:run_as_shipped'


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
    with side_process(OURS, setting, JOB) as ours, side_process(THEIRS, setting, JOB) as theirs:
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
