"""AP over the time of training, drawn."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from sparse_rcnn_ext.ablation import Outcome, draw_curves
from sparse_rcnn_ext.ablation.chart import mean_curve
from sparse_rcnn_ext.visualization.palette import PALETTE
from tests.ablation.examples import experiment, outcome


def with_curves(row: Outcome, *curves: list[list[float]]) -> Outcome:
    return row._replace(results=[run._replace(curve=curve) for run, curve in zip(row.results, curves, strict=True)])


def highest(image: np.ndarray, number: int) -> int:
    """How far from the top a row's colour is seen first, in pixels; left of the legend."""
    left = image[:, : image.shape[1] // 2].astype(int)
    return int(np.flatnonzero((np.abs(left - PALETTE[number]) <= 2).all(-1).any(1))[0])


def test_better_row_is_above_and_a_row_without_validation_is_left_out(tmp_path: Path):
    better = with_curves(outcome('better', [50.0]), [[1, 60.0, 40.0], [2, 240.0, 80.0]])
    worse = with_curves(outcome('worse', [25.0]), [[1, 60.0, 10.0], [2, 240.0, 20.0]])
    rows = [worse, outcome('untrained', []), outcome('not validated', [1.0]), better]
    assert draw_curves(experiment(rows, 1), rows, tmp_path / 'curves.png')
    image = cv2.imread(str(tmp_path / 'curves.png'))[..., ::-1]
    assert highest(image, 3) < highest(image, 0) - 50
    for number in (1, 2):
        assert not (np.abs(image.astype(int) - PALETTE[number]) <= 2).all(-1).any()


def test_nothing_to_draw(tmp_path: Path):
    rows = [outcome('not validated', [1.0])]
    assert not draw_curves(experiment(rows, 1), rows, tmp_path / 'curves.png')
    assert not list(tmp_path.iterdir())


def test_mean_of_the_validations_that_all_seeds_have():
    row = with_curves(outcome('row', [1.0, 2.0]), [[2, 60.0, 10.0], [4, 120.0, 30.0]], [[2, 180.0, 20.0]])
    assert mean_curve(row) == (pytest.approx([2.0]), pytest.approx([15.0]))
