"""How the cost of a training step grows with the image, the proposals, the stages and the boxes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from .memory import STEP as PEAK
from .memory import measure_memory
from .result import Result
from .settings import Setting, settle
from .timing import Comparison
from .training_step import STEP, measure_training

AXES: dict[str, tuple[int, ...]] = {
    'side': (320, 480, 640, 800),
    'proposals': (100, 300, 500),
    'stages': (1, 2, 3, 6, 12),
    'boxes': (1, 10, 50, 200),
}
TITLES = dict(side='image side in pixels', proposals='proposals', stages='stages', boxes='boxes per image')


class Growth(NamedTuple):
    """What a training step costs at each value of one axis."""

    axis: str
    values: tuple[int, ...]
    seconds: tuple[Comparison, ...]
    """One for each value."""
    peaks: tuple[Comparison, ...]
    """One for each value."""


def measure_growth(setting: Setting, axis: str, values: Sequence[int]) -> tuple[Growth, Result]:
    """Time and peak memory of a training step with one thing changed.

    Args:
        setting: Where the other axes stay.
        axis: A name of :data:`AXES`; ``'side'`` stands for square images.
        values: What to set it to.

    Raises:
        UserError: If a value cannot be, or the losses of the two differ.
    """
    seconds, peaks = [], []
    for value in values:
        given = settle(replace(setting, **(dict(size=(value, value)) if axis == 'side' else {axis: value})))
        seconds.append(measure_training(given, parts=False).comparison(STEP))
        peaks.append(measure_memory(replace(given, rounds=1)).comparison(PEAK))
    growth = Growth(axis, tuple(values), tuple(seconds), tuple(peaks))
    named = [
        comparison._replace(name=f'{value}: {comparison.name}')
        for value, *pair in zip(values, seconds, peaks, strict=True)
        for comparison in pair
    ]
    return growth, Result('growth', settle(setting), named, [], title=f'By {TITLES[axis]}')
