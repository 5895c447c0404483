"""Time by parts."""

import pytest
from torch import nn

from sparse_rcnn_ext.analysis.benchmark import timing
from sparse_rcnn_ext.analysis.benchmark.timing import timed_parts


class Clock:
    """Time that passes only when it is told to."""

    def __init__(self) -> None:
        self.now = 50.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    fake = Clock()
    monkeypatch.setattr(timing, 'time', fake)
    return fake


class Network(nn.Module):
    """Two layers and something between them."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock
        self.inner = Inner(clock)

    def forward(self) -> None:
        self.clock.now += 3
        self.inner()
        self.clock.now += 4

    def run(self) -> None:
        self.clock.now += 1
        self()
        self.inner()
        self.clock.now += 2


class Inner(nn.Module):
    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock

    def forward(self) -> None:
        self.clock.now += 10


def test_a_moment_belongs_to_the_innermost_part(clock):
    network = Network(clock)
    measure = timed_parts(network.run, [(network, 'forward', 'outer'), (network.inner, 'forward', 'inner')], 'cpu')
    for _ in range(2):
        assert measure() == dict(outer=7, inner=20, rest=3)


def test_methods_of_one_part_add_up(clock):
    network = Network(clock)
    measure = timed_parts(network.run, [(network, 'forward', 'all'), (network.inner, 'forward', 'all')], 'cpu')
    assert measure() == dict(all=27, rest=3)


def test_a_part_that_never_runs_is_zero(clock):
    network = Network(clock)
    assert timed_parts(lambda: None, [(network, 'forward', 'never')], 'cpu')() == dict(never=0, rest=0)


def test_methods_are_restored(clock):
    network = Network(clock)
    own = network.__dict__['run'] = lambda: 1 / 0
    points = [(network, 'run', 'run'), (network.inner, 'forward', 'inner')]
    with pytest.raises(ZeroDivisionError):
        timed_parts(lambda: network.run(), points, 'cpu')()
    assert network.run is own
    assert 'forward' not in vars(network.inner)
