"""Peak memory. That a process of its own measures it is tested with the tool."""

from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from multiprocessing import get_context
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from sparse_rcnn_ext.analysis.benchmark import memory, process_memory
from sparse_rcnn_ext.analysis.benchmark.memory import STEP, WITH_STATE, measure_memory, peak_of_step
from sparse_rcnn_ext.engine.errors import UserError

MIB = 1 << 20


class Step:
    """Touches as much memory as it is told to, and frees all of it."""

    def __init__(self, mib: int) -> None:
        self.mib = mib
        self.runs = 0
        self.contestant = SimpleNamespace(device='cpu')
        self.model = nn.Linear(MIB // 4, 3, bias=False)  # 3 MiB
        self.optimizer = SimpleNamespace(state={self.model.weight: dict(mean=torch.ones(MIB // 4), step=5)})  # 1 MiB
        self.images = torch.ones(2 * MIB // 4)  # 2 MiB

    def run(self) -> None:
        self.runs += 1
        half = torch.ones(self.mib * MIB // 8)
        del half
        torch.ones(self.mib * MIB // 4)


def measure_peaks(mib: int) -> tuple[dict[str, int], int]:
    step = Step(mib)
    return peak_of_step(step), step.runs


@pytest.mark.skipif(not process_memory.RESET.exists(), reason='no /proc/self/clear_refs on this system')
@pytest.mark.parametrize('mib', [64, 200])
def test_peak_is_what_a_step_touches(mib):
    # In a process of its own: another test may have told malloc to keep what is freed.
    with ProcessPoolExecutor(1, mp_context=get_context('spawn')) as processes:
        peaks, runs = processes.submit(measure_peaks, mib).result()
    assert runs == 3
    assert peaks[STEP] == pytest.approx(mib * MIB, abs=6 * MIB)
    assert peaks[WITH_STATE] - peaks[STEP] == 6 * MIB


def test_a_process_for_each_side_and_round(tiny, monkeypatch):
    asked = []

    def answer(name: str) -> dict[str, int]:
        asked.append(name)
        return {STEP: len(asked), WITH_STATE: 10 * len(asked)}

    monkeypatch.setattr(memory, 'side_process', lambda name, *_: nullcontext(lambda: answer(name)))
    step, with_state = measure_memory(tiny).comparisons
    assert asked == ['ours', 'mmdet'] * 2
    assert (step.ours, step.theirs, step.unit) == ((1, 3), (2, 4), 'B')
    assert with_state.ours == (10, 30) and with_state.ratio == pytest.approx(20 / 30)


def test_without_proc(tiny, monkeypatch, tmp_path):
    monkeypatch.setattr(process_memory, 'RESET', tmp_path / 'absent')
    with pytest.raises(UserError, match='measure it on Linux'):
        measure_memory(tiny)
