"""The arithmetic of the soak, whose hours would show a mistake of it late."""

import math
import os
from multiprocessing import get_context

import pytest

from tests.durability.memory_watch import Figure, children_of, floors, memory_of, open_files, slope, table


def test_slope():
    counts = [10 * index for index in range(80)]
    # Whatever happens in the first quarter.
    sizes = [1000 - count if index < 20 else 7 + 3 * count for index, count in enumerate(counts)]
    assert slope(counts, sizes) == pytest.approx(3)
    # Up and down around a line that falls.
    assert slope(counts, [(-1) ** index * 5 - 2 * count for index, count in enumerate(counts)]) == pytest.approx(
        -2, 1e-2
    )
    assert slope(counts, [5] * 80) == 0


def test_floors():
    """Dips of any depth between samples that lie anywhere do not count; what stays does."""
    counts = list(range(10, 2001, 10))
    dips = [size - 36 * (count % 200 == 0) for count, size in zip(counts, [977] * 200, strict=True)]
    firsts, sizes = floors(counts, dips, 200)
    assert firsts == list(range(10, 2000, 200)) and sizes == [941] * 10
    assert slope(firsts, sizes) == 0
    leak = [size + count // 10 for count, size in zip(counts, dips, strict=True)]
    assert slope(*floors(counts, leak, 200)) == pytest.approx(0.1)
    assert floors([5], [7], 200) == ([5], [7])


def test_slope_of_too_few():
    assert math.isnan(slope([], [])) and math.isnan(slope([1], [5]))
    assert slope([1, 2], [5, 7]) == 2


def test_verdict():
    figures = [Figure('a', 1.0, 1.0, 'MB'), Figure('long name', 1.001, 1, ''), Figure('c', float('nan'), 1, '')]
    assert [figure.is_met for figure in figures] == [True, False, False]
    first, second, third = table(figures).splitlines()
    assert first.startswith('a              1.000 MB') and first.endswith('at most 1: met')
    assert second.startswith('long name      1.001') and second.endswith('PASSED') and third.endswith('PASSED')


def test_memory_grows_with_what_is_held():
    before = memory_of(os.getpid())
    held = os.urandom(2**26)
    assert memory_of(os.getpid()) - before > 0.9 * len(held)


def test_children():
    context = get_context('fork')
    end = context.Event()
    before = set(children_of(os.getpid()))
    child = context.Process(target=end.wait)
    child.start()
    assert set(children_of(os.getpid())) - before == {child.pid}
    end.set()
    child.join()
    assert child.pid not in children_of(os.getpid())


def test_open_files(tmp_path):
    before = open_files()
    with (tmp_path / 'a').open('w'):
        ends = os.pipe()
        assert open_files() - before == {str(tmp_path / 'a'): 1, 'pipe': 2}
    for end in ends:
        os.close(end)
    assert open_files() == before
