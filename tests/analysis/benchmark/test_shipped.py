"""Training steps in processes of their own."""

from dataclasses import replace

import pytest

from sparse_rcnn_ext.analysis.benchmark import processes
from sparse_rcnn_ext.analysis.benchmark.processes import PROCESS, RESET, measure_shipped, side_process
from sparse_rcnn_ext.analysis.benchmark.rows import rows_for
from sparse_rcnn_ext.analysis.benchmark.training_step import STEP
from sparse_rcnn_ext.errors import UserError

pytestmark = pytest.mark.skipif(not RESET.exists(), reason='no /proc/self/clear_refs on this system')
MIB = 1 << 20


def test_both_are_measured(tiny):
    step, size = measure_shipped(replace(tiny, rounds=2)).comparisons
    assert (step.name, step.unit, size.name, size.unit) == (STEP, 's', PROCESS, 'B')
    assert {row.comparison for row in rows_for('cpu') if row.what == 'shipped'} <= {STEP, PROCESS}
    for sizes, seconds in ((size.ours, step.ours), (size.theirs, step.theirs)):
        assert len(seconds) == 2 and 0 < min(seconds) < 10
        # torch and mmdet alone take a few hundred.
        assert 200 * MIB < sizes[0] <= sizes[1] < 4000 * MIB


def test_only_ours_keeps_its_memory(pair, monkeypatch):
    kept = []
    monkeypatch.setattr(processes, 'keep_freed_memory', lambda: kept.append(True))
    ours, theirs, images, samples = pair
    for side in (theirs, ours):
        step = processes.TrainingStep(side, images, samples)
        for _ in range(2):
            processes.run_as_shipped(step)
        assert len(kept) == (side is ours)


def test_a_process_that_fails_is_one_sentence(tiny, monkeypatch):
    monkeypatch.setattr('sparse_rcnn_ext.analysis.benchmark.processes.CHILD', 'exit("\\nerror: no luck")')
    with side_process('ours', tiny, processes.SHIPPED_JOB) as ask, pytest.raises(UserError) as failed:
        ask()
    assert str(failed.value) == 'the process of ours ended with code 1: error: no luck'
