"""The time for one image."""

import pytest
import torch
from torch import nn

from sparse_rcnn_ext.analysis import compare_latency, device_name, latency, measure_latency
from tests.models.small_model import build_model


class Clockwork(nn.Module):
    """A detector and its clock: each step takes as long as the list says."""

    def __init__(self, seconds: list[float]) -> None:
        super().__init__()
        self.seconds = seconds
        self.steps = 0
        self.now = 100.0
        self.sizes = set()

    def perf_counter(self) -> float:
        return self.now

    def test_step(self, data: dict) -> None:
        (image,), (sample,) = data['inputs'], data['data_samples']
        self.sizes.add((image.dtype, *image.shape, *sample.img_shape))
        self.now += self.seconds[self.steps]
        self.steps += 1


@pytest.fixture
def clockwork(monkeypatch):
    def make(seconds: list[float]) -> Clockwork:
        detector = Clockwork(seconds)
        monkeypatch.setattr(latency, 'time', detector)
        return detector

    return make


def test_median_without_warm_up(clockwork):
    detector = clockwork([50.0, 40.0, 1.0, 9.0, 2.0, 3.0, 4.0])
    seconds = measure_latency(detector, (48, 64), warm_ups=2, runs=5, seconds=1000.0)
    assert seconds == pytest.approx(3.0)
    assert detector.steps == 7
    assert detector.sizes == {(torch.uint8, 3, 48, 64, 48, 64)}


def test_stops_in_time_but_not_before_three_runs(clockwork):
    slow = clockwork([10.0] * 20)
    assert measure_latency(slow, (48, 64), warm_ups=1, runs=10, seconds=5.0) == pytest.approx(10.0)
    assert slow.steps == 4
    faster = clockwork([1.0] * 20)
    measure_latency(faster, (48, 64), warm_ups=1, runs=10, seconds=5.5)
    assert faster.steps == 6


def test_share_of_another_while_the_machine_becomes_slow(clockwork):
    """Twice the other's time, but in the pair in which it happens; the medians of both are 2 s and 10 s."""
    both = clockwork([7.0, 7.0, 2.0, 1.0, 2.0, 10.0, 20.0, 10.0])
    assert compare_latency(both, both, (48, 64), warm_ups=1, runs=3, seconds=1000.0) == pytest.approx(2.0)
    assert both.steps == 8


def test_of_a_detector():
    detector = build_model().float()
    assert 0 < measure_latency(detector, (48, 70), warm_ups=1, runs=2) < 10
    assert not detector.training


def test_device_has_a_name():
    assert 'thread' in device_name() or torch.cuda.is_available()
