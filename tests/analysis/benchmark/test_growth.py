"""Cost by image side, proposals, stages and boxes, and its chart."""

from dataclasses import replace

import matplotlib.image
import pytest

from sparse_rcnn_ext.analysis.benchmark import growth
from sparse_rcnn_ext.analysis.benchmark.growth import AXES, TITLES, Growth, draw_growth, measure_growth
from sparse_rcnn_ext.analysis.benchmark.timing import Comparison, Result
from sparse_rcnn_ext.errors import UserError


@pytest.fixture
def asked(monkeypatch) -> list:
    """The settings that are measured; each measurement gives its number."""
    settings = []

    def answer(name, unit):
        def measure(setting, parts=True):
            settings.append((name, setting))
            number = float(len(settings))
            return Result(name, setting, [Comparison(name, unit, (number,), (number + 0.5,))], [])

        return measure

    monkeypatch.setattr(growth, 'measure_training', answer(growth.STEP, 's'))
    monkeypatch.setattr(growth, 'measure_memory', answer(growth.PEAK, 'B'))
    return settings


@pytest.mark.parametrize('axis', AXES)
def test_one_thing_changes(tiny, asked, axis):
    found, result = measure_growth(tiny, axis, (33, 64))
    assert [name for name, _ in asked] == [growth.STEP, growth.PEAK] * 2
    for (_, setting), value in zip(asked, (33, 33, 64, 64), strict=True):
        changed = dict(size=(value, value)) if axis == 'side' else {axis: value}
        assert replace(setting, rounds=2) == replace(tiny, **changed)
    assert [point.ours for point in found.seconds] == [(1.0,), (3.0,)]
    assert [point.theirs for point in found.peaks] == [(2.5,), (4.5,)]
    assert [row.name for row in result.comparisons] == [
        f'33: {growth.STEP}',
        f'33: {growth.PEAK}',
        f'64: {growth.STEP}',
        f'64: {growth.PEAK}',
    ]


def test_parts_are_left_out(tiny):
    found, _ = growth.measure_training(tiny, parts=False).comparisons, None
    assert [row.name for row in found] == [growth.STEP]


def test_values_that_cannot_be(tiny, asked):
    with pytest.raises(UserError, match='--stages is 0'):
        measure_growth(tiny, 'stages', (0,))
    assert asked == []


def test_axes_are_those_of_the_issue():
    assert AXES['proposals'] == (100, 300, 500)
    assert (AXES['stages'][0], AXES['stages'][-1], AXES['boxes'][0], AXES['boxes'][-1]) == (1, 12, 1, 200)
    assert set(TITLES) == set(AXES)


def test_chart(tmp_path):
    out = tmp_path / 'growth.png'
    points = tuple(Comparison('', 's', (0.5 * n, 0.6 * n, 0.7 * n), (float(n), 1.1 * n, 2.0 * n)) for n in (1, 2, 3))
    peaks = tuple(Comparison('', 'B', (n << 30,), (n << 31,)) for n in (1, 2, 3))
    draw_growth(Growth('stages', (1, 3, 6), points, peaks), 'a model, on a machine', out)
    picture = matplotlib.image.imread(out)[..., :3]
    height, width = picture.shape[:2]
    assert (width, height) == (1000, 420)
    # Both panels have our blue line and mmdet's grey one.
    blue = abs(picture - [0, 114 / 255, 178 / 255]).max(-1) < 0.02
    grey = abs(picture - 0.55).max(-1) < 0.02
    for panel in (slice(0, width // 2), slice(width // 2, width)):
        assert blue[:, panel].sum() > 300 and grey[:, panel].sum() > 300
