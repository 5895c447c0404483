"""Peak memory. What processes of their own are asked and answer, test_shipped.py tries."""

import json
import pkgutil
from contextlib import nullcontext
from pathlib import Path

import pytest

from sparse_rcnn_ext.analysis.benchmark import processes
from sparse_rcnn_ext.analysis.benchmark.processes import PEAK, WITH_STATE, measure_memory
from sparse_rcnn_ext.analysis.benchmark.rows import rows_for
from sparse_rcnn_ext.errors import UserError

MIB = 1 << 20


@pytest.mark.skipif(not processes.RESET.exists(), reason='no /proc/self/clear_refs on this system')
def test_peak_is_what_a_step_touches(run_process, tmp_path):
    """In a process of its own: in this one a test may have told malloc to keep what is freed."""
    code, printed = run_process(str(Path(__file__).with_name('peak_worker.py')), ['64', '200'], tmp_path)
    assert code == 0, printed
    for mib, (peaks, runs) in zip((64, 200), json.loads(printed.splitlines()[-1]), strict=True):
        assert runs == 3
        assert peaks[PEAK] == pytest.approx(mib * MIB, abs=6 * MIB)
        assert peaks[WITH_STATE] - peaks[PEAK] == 6 * MIB


def test_the_process_finds_its_job_and_the_list_its_row():
    assert pkgutil.resolve_name(processes.PEAK_JOB) is processes.peak_of_step
    assert {row.comparison for row in rows_for('cpu') if row.what == 'memory'} <= {PEAK, WITH_STATE}


def test_a_process_for_each_side_and_round(tiny, monkeypatch):
    asked = []

    def answer(name: str) -> dict[str, int]:
        asked.append(name)
        return {PEAK: len(asked), WITH_STATE: 10 * len(asked)}

    monkeypatch.setattr(processes, 'side_process', lambda name, *_: nullcontext(lambda: answer(name)))
    step, with_state = measure_memory(tiny).comparisons
    assert asked == ['ours', 'mmdet'] * 2
    assert (step.ours, step.theirs, step.unit) == ((1, 3), (2, 4), 'B')
    assert with_state.ours == (10, 30) and with_state.ratio == pytest.approx(20 / 30)


def test_without_proc(tiny, monkeypatch, tmp_path):
    monkeypatch.setattr(processes, 'RESET', tmp_path / 'absent')
    with pytest.raises(UserError, match='measure it on Linux'):
        measure_memory(tiny)
