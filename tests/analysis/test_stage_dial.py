"""Latencies are measured in turns, each of the stages that it says."""

from collections.abc import Callable

import pytest
import torch
from matplotlib.axes import Axes
from mmdet.structures import DetDataSample

from sparse_rcnn_ext.analysis.stage_dial import (
    DialRow,
    as_json,
    draw_chart,
    measure_latencies,
    measure_precisions,
    write_markdown,
)
from tests.models.small_model import STAGES, build_model

ROWS = [
    DialRow(1, dict(AP=0.1234, AP50=0.3, AP75=0.0), (0.010, 0.014, 0.012)),
    DialRow(2, dict(AP=0.5, AP50=0.75, AP75=0.52), (0.020, 0.022, 0.0215)),
    DialRow(3, dict(AP=0.61, AP50=0.8, AP75=float('nan')), (0.200, 0.1, 0.3)),
]


class OneImage:
    def __getitem__(self, index: int) -> dict:
        sample = DetDataSample(metainfo=dict(img_shape=(64, 90), ori_shape=(64, 90), scale_factor=(1.0, 1.0)))
        return dict(inputs=torch.zeros(3, 64, 90, dtype=torch.uint8), data_samples=sample)


def test_numbers_of_stages_take_turns():
    model = build_model().eval()
    ran = []
    for stage, module in enumerate(model.roi_head.bbox_head, start=1):
        module.register_forward_hook(lambda *_, stage=stage: ran.append(stage))
    found = measure_latencies(model, OneImage(), rounds=3)
    once = [stage for number in range(1, STAGES + 1) for stage in range(1, number + 1)]
    assert ran == once * (3 + 2)
    assert [len(seconds) for seconds in found] == [3] * STAGES
    assert all(0 < second < 60 for seconds in found for second in seconds)
    assert model.num_test_stages == STAGES


def test_all_stages_are_judged_whatever_was_set(monkeypatch):
    """A checkpoint's config may stop early."""
    model = build_model().eval()
    model.num_test_stages = 1
    seen = []

    class StopError(Exception):
        pass

    def predict(model, *_, **__):
        seen.append(model.num_test_stages)
        raise StopError

    monkeypatch.setattr('sparse_rcnn_ext.analysis.stage_dial.predict_stages', predict)
    with pytest.raises(StopError):
        measure_precisions(model, [None], 1, 0)
    assert seen == [STAGES]


def test_markdown():
    text = write_markdown(ROWS, dict(model='a.py', GPU='none'), 'a.png')
    assert text.startswith('# AP and latency by stage\n\n- model: a.py\n- GPU: none\n\n| stages | AP | AP50 | AP75 |')
    lines = [line for line in text.splitlines() if line[:3] in ('| 1', '| 2', '| 3')]
    assert lines == [
        '| 1 | 12.3 | 30.0 | 0.0 | 12.0 ms (11.0–13.0) | 6% |',
        '| 2 | 50.0 | 75.0 | 52.0 | 21.5 ms (20.7–21.8) | 11% |',
        '| 3 | 61.0 | 80.0 | nan | 200 ms (150–250) | 100% |',
    ]
    assert '![AP and latency by stage](a.png)' in text
    assert '](' not in write_markdown(ROWS, {})


def test_json():
    found = as_json(ROWS[:1], dict(a='b'))
    expected = dict(stages=1, AP=0.1234, AP50=0.3, AP75=0.0, latency_seconds=0.012, seconds=(0.010, 0.014, 0.012))
    assert found == dict(facts=dict(a='b'), rows=[expected])


def watch(monkeypatch, name: str, see: Callable) -> None:
    """Let ``see`` have what is given to a method of matplotlib's Axes."""
    original = getattr(Axes, name)

    def method(self, *arguments, **settings):
        see(*arguments, **settings)
        return original(self, *arguments, **settings)

    monkeypatch.setattr(Axes, name, method)


@pytest.mark.parametrize('count', [1, 3])
def test_chart_shows_every_row(count, tmp_path, monkeypatch):
    texts, points = [], []
    watch(monkeypatch, 'annotate', lambda text, *_, **__: texts.append(text))
    watch(monkeypatch, 'errorbar', lambda x, y, **_: points.append((x, y)))
    draw_chart(ROWS[:count], 'title', tmp_path / 'a.png')
    assert (tmp_path / 'a.png').read_bytes().startswith(b'\x89PNG')
    assert texts == ['1 stage', '2 stages', '3 stages'][:count]
    assert points[0][0] == pytest.approx([12, 21.5, 200][:count])
    assert points[0][1] == pytest.approx([12.34, 50, 61][:count])
