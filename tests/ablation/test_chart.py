"""The chart of a table."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from sparse_rcnn_ext.ablation import draw_chart
from sparse_rcnn_ext.visualization.palette import PALETTE
from tests.ablation.examples import experiment, outcome


def draw(path: Path, rows: list, seeds: int = 1) -> np.ndarray:
    draw_chart(experiment(rows, seeds), rows, path)
    return cv2.imread(str(path))[..., ::-1]


def bar_lengths(image: np.ndarray, color: tuple) -> list[int]:
    """The length of each bar of a colour, from the top, in pixels."""
    at = (np.abs(image.astype(int) - color) <= 2).all(-1)
    lines = at.sum(1)
    starts = np.flatnonzero((lines[1:] > 5) & (lines[:-1] <= 5)) + 1
    return [int(lines[start + 3]) for start in starts]


def test_bars_are_as_long_as_their_ap(tmp_path: Path):
    rows = [outcome('1', [10.0]), outcome('2', [20.0]), outcome('3', [40.0])]
    lengths = bar_lengths(draw(tmp_path / 'chart.png', rows), PALETTE[6])
    assert len(lengths) == 3
    assert lengths[1] / lengths[0] == pytest.approx(2, rel=0.05)
    assert lengths[2] / lengths[0] == pytest.approx(4, rel=0.05)


def test_row_without_result_has_no_bar(tmp_path: Path):
    rows = [outcome('1', [10.0, 12.0]), outcome('2', [], cost=None, failures=['why']), outcome('3', [40.0, 38.0])]
    assert len(bar_lengths(draw(tmp_path / 'chart.png', rows, seeds=2), PALETTE[6])) == 2
    nothing = [outcome('1', [], cost=None)]
    assert bar_lengths(draw(tmp_path / 'nothing.png', nothing), PALETTE[6]) == []


def test_without_the_paper_our_bars_have_more_room(tmp_path: Path):
    with_paper = draw(tmp_path / 'with.png', [outcome('1', [10.0])])
    without = draw(tmp_path / 'without.png', [outcome('1', [10.0], paper_ap=None)])
    assert bar_lengths(without, PALETTE[6])[0] > 1.1 * bar_lengths(with_paper, PALETTE[6])[0]


def test_step_has_a_panel(tmp_path: Path):
    """Its one bar is the difference between a chart with and without the time."""
    row = outcome('1', [10.0])
    old = row._replace(results=[row.results[0]._replace(step_seconds=None)])
    charts = [draw(tmp_path / 'chart.png', [rows]) for rows in (row, old)]
    known, unknown = (int((np.abs(chart.astype(int) - PALETTE[1]) <= 2).all(-1).sum()) for chart in charts)
    # Parameters, GFLOPs, training and latency stay.
    assert known == pytest.approx(unknown * 5 / 4, rel=0.02)


def test_more_rows_make_it_taller(tmp_path: Path):
    heights = [len(draw(tmp_path / 'chart.png', [outcome(str(i), [10.0]) for i in range(n)])) for n in (2, 6, 12)]
    assert heights[0] < heights[1] < heights[2]
