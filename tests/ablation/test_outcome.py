"""Results of runs, and how they are read from logs."""

import json
from pathlib import Path

import pytest

from sparse_rcnn_ext.ablation import Result, pick_ap, read_cost, read_result, write_json
from sparse_rcnn_ext.ablation.outcome import (
    COST_FILE,
    RESULT_FILE,
    read_metrics,
    step_seconds,
    training_seconds,
    validation_curve,
)
from sparse_rcnn_ext.errors import UserError
from tests.ablation.examples import outcome


def test_results_come_back(tmp_path: Path):
    assert read_result(tmp_path) is None and read_cost(tmp_path) is None
    result = Result(3, 21.5, 60.25, {'coco/bbox_mAP': 0.215}, 0.125, [[2, 30.5, 12.5]])
    write_json(tmp_path / RESULT_FILE, result._asdict())
    write_json(tmp_path / COST_FILE, dict(device='CPU × 2'))
    assert read_result(tmp_path) == result
    assert read_cost(tmp_path) == dict(device='CPU × 2')
    assert {path.name for path in tmp_path.iterdir()} == {RESULT_FILE, COST_FILE}


def test_result_of_before_steps_and_curves_were_kept(tmp_path: Path):
    write_json(tmp_path / RESULT_FILE, dict(seed=3, ap=21.5, training_seconds=60.25, metrics={}))
    assert read_result(tmp_path) == (3, 21.5, 60.25, {}, None, [])


@pytest.mark.parametrize(
    ('metrics', 'ap'),
    [
        ({'coco/bbox_mAP_50': 0.5, 'coco/bbox_mAP': 0.25, 'time': 0.1}, 25.0),
        ({'voc_11points/AP50': 0.75, 'voc_11points/mAP': 0.7, 'voc_area/mAP': 0.8}, 70.0),
        ({'crowd_human/mAP': 0.875, 'crowd_human/mMR': 0.4}, 87.5),
    ],
)
def test_ap_of_any_evaluator(metrics: dict, ap: float):
    assert pick_ap(metrics) == pytest.approx(ap)


def test_no_ap_is_one_sentence():
    with pytest.raises(UserError, match=r'^the test gave no AP \(time\): set test_evaluator'):
        pick_ap({'time': 1.0})


def test_means_and_spread():
    two = outcome('two', [20.0, 22.0])
    assert (two.ap, two.spread, two.training_seconds) == (21.0, None, 100.0)
    assert outcome('three', [20.0, 21.0, 22.0]).spread == pytest.approx(1.0)
    nothing = outcome('none', [])
    assert nothing.ap is nothing.spread is nothing.training_seconds is nothing.step_seconds is None


def test_step_of_the_fastest_seed_that_has_one():
    row = outcome('row', [20.0, 21.0, 22.0])
    slow, fast, old = (result._replace(step_seconds=time) for result, time in zip(row.results, (0.3, 0.2, None)))
    assert row._replace(results=[slow, fast, old]).step_seconds == 0.2
    assert row._replace(results=[old]).step_seconds is None


def test_gain_is_over_shared_seeds():
    recipe, row = outcome('recipe', [20.0, 22.0, 30.0]), outcome('row', [21.0, 24.0])
    assert row.gain_over(recipe) == pytest.approx(1.5)
    assert recipe.gain_over(row) == pytest.approx(-1.5)
    assert outcome('none', []).gain_over(recipe) is None and recipe.gain_over(outcome('none', [])) is None
    last = recipe._replace(results=recipe.results[2:])
    assert row.gain_over(last) is None


def write_log(folder: Path, start: str, entries: list[dict]) -> None:
    log = folder / start / 'vis_data' / 'scalars.json'
    log.parent.mkdir(parents=True)
    log.write_text('\n'.join(map(json.dumps, entries)))


def test_training_time_of_an_interrupted_run(tmp_path: Path):
    """10 iterations of 1 s, then 10 that were lost and took 7 s each, again in 3 s each, and 5 of 2 s."""
    write_log(tmp_path, '20240101_000000', [dict(step=10, loss=1, time=1.0), dict(step=20, loss=1, time=7.0)])
    later = [dict(step=20, loss=1, time=3.0), dict(step=25, loss=1, time=2.0), dict(step=1, time=50.0)]
    write_log(tmp_path, '20240102_000000', later)
    assert training_seconds(tmp_path) == pytest.approx(10 * 1 + 10 * 3 + 5 * 2)
    assert step_seconds(tmp_path) == 2.0


def test_no_log_of_a_training(tmp_path: Path):
    write_log(tmp_path, '20240101_000000', [{'coco/bbox_mAP': 0.5, 'time': 9.0, 'step': 1}])
    assert step_seconds(tmp_path) is None and training_seconds(tmp_path) == 0


def test_curve_of_a_training_that_counts_epochs(tmp_path: Path):
    """5 iterations an epoch and a line for every 2: the second validation of epoch 1 is the one that counts."""
    lines = [dict(step=step, epoch=(step + 4) // 5, loss=1, time=1.0) for step in (2, 4)]
    lost = [dict(step=6, epoch=2, loss=1, time=9.0), {'coco/bbox_mAP': 0.9, 'coco/bbox_mAP_50': 0.95, 'step': 2}]
    write_log(tmp_path, '20240101_000000', [*lines, {'coco/bbox_mAP': 0.25, 'time': 7.0, 'step': 1}, *lost])
    later = [dict(step=step, epoch=(step + 4) // 5, loss=1, time=3.0) for step in (6, 8, 10)]
    write_log(tmp_path, '20240102_000000', [*later, {'coco/bbox_mAP': 0.5, 'time': 7.0, 'step': 2}])
    assert validation_curve(tmp_path) == [[1, 4 * 1.0, 25.0], [2, 4 * 1.0 + 6 * 3.0, 50.0]]


def test_curve_of_a_training_that_counts_iterations(tmp_path: Path):
    lines = [dict(step=step, loss=1, time=0.5) for step in (10, 20, 30)]
    scores = [{'crowd_human/mAP': 0.25, 'step': 10}, {'time': 1.0, 'step': 20}, {'crowd_human/mAP': 0.5, 'step': 30}]
    write_log(tmp_path, '20240101_000000', [*lines, *scores])
    assert validation_curve(tmp_path) == [[10, 5.0, 25.0], [30, 15.0, 50.0]]


def test_metrics_of_the_last_test(tmp_path: Path):
    for start, ap in (('20240101_000000', 0.1), ('20240102_000000', 0.2)):
        write_log(tmp_path, start, [dict(step=1, loss=1, time=1.0)])
        (tmp_path / start / 'other.json').write_text('[]')
        (tmp_path / start / f'{start}.json').write_text(json.dumps({'coco/bbox_mAP': ap, 'classes': ['a']}))
    assert read_metrics(tmp_path) == {'coco/bbox_mAP': 0.2}
