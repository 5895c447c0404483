"""Timing in turns, and the table of it."""

import pytest

from sparse_rcnn_ext.export import check
from sparse_rcnn_ext.export.check import WARM_UPS, Difference, time_in_turns
from sparse_rcnn_ext.export.latency_table import Row, write_markdown


def test_turns(monkeypatch):
    """Runs that take 1 and 3 seconds of a clock of our own, in turns; the first rounds and the rests do not count."""
    now, order = [0.0], []

    def run(name: str, seconds: float):
        def work() -> None:
            order.append(name)
            # Slow until it is warm.
            now[0] += seconds if len(order) > 2 * WARM_UPS else 100.0

        return work

    def rest(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(check.time, 'perf_counter', lambda: now[0])
    monkeypatch.setattr(check.time, 'sleep', rest)
    found = time_in_turns(dict(file=run('file', 1.0), detector=run('detector', 3.0)), rounds=4)
    assert found == dict(file=pytest.approx((1.0,) * 4), detector=pytest.approx((3.0,) * 4))
    assert order == ['file', 'detector'] * (WARM_UPS + 4)


def test_table():
    rows = [
        Row('detector in torch', (0.5, 0.3, 0.4), None, None),
        Row('onnx', (0.16, 0.9, 0.1), Difference(200, 0, 0.99999, 2e-6), 23_650_000),
        Row('onnx, int8', (0.1,), None, 7_500_000),
    ]
    assert write_markdown(rows, dict(model='small')).splitlines() == [
        '- model: small',
        '',
        '| | latency (least–greatest) | times as fast | file | detections compared, least IoU, scores apart |',
        '| --- | ---: | ---: | ---: | --- |',
        '| detector in torch | 400.0 ms (300.0–500.0) | 1.00 × |  |  |',
        '| onnx | 160.0 ms (100.0–900.0) | 2.50 × | 23.6 MB | 200, 0.999990, 2.0e-06 |',
        '| onnx, int8 | 100.0 ms (100.0–100.0) | 4.00 × | 7.5 MB |  |',
    ]
