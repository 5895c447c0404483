"""Two sides in turns."""

import pytest

from sparse_rcnn_ext.analysis.benchmark import timing
from sparse_rcnn_ext.analysis.benchmark.timing import BYTES, SECONDS, Comparison, alternate, timed


def test_sides_take_turns_and_warm_ups_do_not_count():
    order = []

    def side(name):
        def measure():
            order.append(name)
            return dict(first=float(len(order)), second=0.5)

        return measure

    first, second = alternate(side('ours'), side('mmdet'), rounds=3, what='', warm_ups=2)
    assert order == ['ours', 'mmdet'] * 5
    assert (first.name, first.unit, second.name) == ('first', SECONDS, 'second')
    assert first.ours == (5.0, 7.0, 9.0) and first.theirs == (6.0, 8.0, 10.0)
    assert second.ours == second.theirs == (0.5, 0.5, 0.5)


def test_ratio_is_of_medians():
    slow, fast = (3.0, 100.0, 4.0), (2.0, 2.0, 0.1)
    assert Comparison('', SECONDS, ours=fast, theirs=slow).ratio == pytest.approx(2.0)
    assert Comparison('', SECONDS, ours=slow, theirs=fast).ratio == pytest.approx(0.5)
    assert Comparison('', BYTES, ours=(80,), theirs=(100,)).ratio == pytest.approx(0.8)


def test_time_runs_from_wait_to_wait(monkeypatch):
    now = [0.0]

    def takes(seconds):
        return lambda *_: now.__setitem__(0, now[0] + seconds)

    monkeypatch.setattr(timing.time, 'perf_counter', lambda: now[0])
    # What the device still does when the work returns counts; what it did before does not.
    monkeypatch.setattr(timing, 'wait', takes(10.0))
    assert timed(takes(1.0), 'work', 'cuda')() == {'work': 11.0}
