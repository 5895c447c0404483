"""Peak memory of a training step.

Each side is measured in a fresh process of its own, which leaves nothing of the other's behind:

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
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import torch

from sparse_rcnn_ext.engine.errors import UserError

from .contestants import OURS, THEIRS
from .result import Result
from .settings import REPO, Setting
from .timing import BYTES, Comparison, progress, wait
from .training_step import TrainingStep, build_steps

STATUS, RESET = Path('/proc/self/status'), Path('/proc/self/clear_refs')
CHILD = f'import sys; from {__name__} import main; main(*sys.argv[1:])'
STEP, WITH_STATE = 'peak of a training step', 'peak with weights and optimizer state'
WARM_UPS = 2
MARK = 'peak memory: '


def measure_memory(setting: Setting) -> Result:
    """Bytes of a training step at its peak.

    Args:
        setting: A settled setting. ``rounds`` is how many processes of each side are asked.

    Raises:
        UserError: If this system does not tell, or a process fails.
    """
    if setting.device == 'cpu' and not RESET.exists():
        raise UserError('peak memory on the CPU is read from /proc, which this system lacks: measure it on Linux')
    found: dict[str, list[dict[str, int]]] = {OURS: [], THEIRS: []}
    with progress(2 * setting.rounds, 'peak memory') as bar:
        for _ in range(setting.rounds):
            for name, peaks in found.items():
                peaks.append(_ask_child(setting, name))
                bar.update()
    comparisons = [
        Comparison(what, BYTES, *(tuple(peaks[what] for peaks in side) for side in found.values()))
        for what in (STEP, WITH_STATE)
    ]
    how = 'torch.cuda.max_memory_allocated' if setting.device == 'cuda' else 'resident memory, by the kernel'
    return Result('memory', setting, comparisons, [f'Each in a process of its own: {how}.'])


def _ask_child(setting: Setting, name: str) -> dict[str, int]:
    environment = os.environ | {
        'PYTHONPATH': os.pathsep.join(filter(None, [str(REPO), os.environ.get('PYTHONPATH', '')])),
        'OMP_NUM_THREADS': str(torch.get_num_threads()),
        'MALLOC_MMAP_THRESHOLD_': str(128 * 1024),
    }
    command = [sys.executable, '-c', CHILD, name, json.dumps(asdict(setting))]
    child = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    answers = [line for line in child.stdout.splitlines() if line.startswith(MARK)]
    if child.returncode or not answers:
        last = (child.stderr.strip().splitlines() or ['it said nothing'])[-1]
        raise UserError(f'the process that measures the memory of {name} ended with code {child.returncode}: {last}')
    return json.loads(answers[0].removeprefix(MARK))


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
        return {STEP: peak - state, WITH_STATE: peak}
    RESET.write_text('5')  # the high-water mark falls to what is there now, see proc(5)
    before = _resident('VmRSS')
    step.run()
    above = _resident('VmHWM') - before
    state = sum(tensor.nbytes for tensor in _lasting_tensors(step))
    return {STEP: above, WITH_STATE: above + state}


def _resident(key: str) -> int:
    (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith(f'{key}:'))
    return int(line.split()[1]) * 1024


def _lasting_tensors(step: TrainingStep) -> list[torch.Tensor]:
    """Weights, buffers, optimizer state and images."""
    states = [value for state in step.optimizer.state.values() for value in state.values()]
    tensors = [value for value in states if isinstance(value, torch.Tensor)]
    return [*tensors, *step.model.parameters(), *step.model.buffers(), step.images]


def main(name: str, setting: str) -> None:
    """The process of one side: measure and print."""
    given = json.loads(setting)
    given['size'] = tuple(given['size'])
    ours, theirs, _ = build_steps(Setting(**given))
    step = ours if name == OURS else theirs
    # The other side's weights must go before the step.
    del ours, theirs
    gc.collect()
    print(f'{MARK}{json.dumps(peak_of_step(step))}', flush=True)
