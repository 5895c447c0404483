"""What is read from the logs of a run."""

import json
from pathlib import Path

import pytest

from sparse_rcnn_ext.report.run_files import read_run_log, training_logs
from tests.report.conftest import training_line, validation_line, write_log


def test_one_training(run: Path):
    log = read_run_log(run)
    assert [entry['step'] for entry in log.training] == list(range(1, 21))
    assert log.counts_epochs
    assert log.metric_curve('coco/bbox_mAP') == ([1, 2], [0.25, 0.5])
    assert log.metric_curve('coco/unknown') == ([], [])
    assert log.metric_names() == [f'coco/bbox_mAP{end}' for end in ('', '_50', '_75', '_s', '_m', '_l')]
    assert log.loss_kinds() == {kind: [f's0.{kind}', f's1.{kind}'] for kind in ('loss_cls', 'loss_bbox', 'loss_iou')}


def test_a_line_that_was_cut_off(run: Path):
    """The run was killed while it wrote."""
    log = next(run.glob('*/vis_data/scalars.json'))
    log.write_text(log.read_text()[:-20])
    found = read_run_log(run)
    assert [entry['step'] for entry in found.training] == list(range(1, 21))
    assert found.metric_curve('coco/bbox_mAP') == ([1], [0.25])


def test_resumed_training_replaces_what_it_repeats(tmp_path: Path):
    write_log(
        tmp_path,
        '1',
        [
            training_line(5, 1),
            training_line(10, 1),
            validation_line(1, 0.1),
            training_line(15, 2),
            training_line(20, 2),
        ],
    )
    write_log(tmp_path, '2', [validation_line(1, 0.9)])  # a test's log is none of a training
    write_log(tmp_path, '3', [training_line(15, 2, scale=3), training_line(20, 2, scale=3), validation_line(2, 0.2)])
    log = read_run_log(tmp_path)
    assert [entry['step'] for entry in log.training] == [5, 10, 15, 20]
    assert log.training[2]['loss'] == pytest.approx(3 * training_line(15, 2)['loss'])
    assert log.metric_curve('coco/bbox_mAP') == ([1, 2], [0.1, 0.2])
    assert len(training_logs(tmp_path)) == 2


def test_new_training_in_the_same_folder_replaces_all(tmp_path: Path):
    write_log(tmp_path, '1', [training_line(5, 1), validation_line(1, 0.1), training_line(10, 2)])
    write_log(tmp_path, '2', [training_line(5, 1, scale=2)])
    log = read_run_log(tmp_path)
    assert [entry['step'] for entry in log.training] == [5] and not log.validation


def test_iterations_without_epochs(tmp_path: Path):
    lines = [training_line(100, 1), validation_line(0, 0.3), training_line(200, 1), validation_line(0, 0.4)]
    for line in lines:
        line.pop('epoch', None)
    write_log(tmp_path, '1', lines)
    log = read_run_log(tmp_path)
    assert not log.counts_epochs
    assert log.metric_curve('coco/bbox_mAP') == ([100, 200], [0.3, 0.4])


def test_no_log(tmp_path: Path):
    log = read_run_log(tmp_path)
    assert not log.training and not log.validation and not log.counts_epochs
    assert log.loss_kinds() == {} and log.metric_names() == []


def test_diverged_training(tmp_path: Path):
    folder = write_log(tmp_path, '1', [training_line(1, 1), training_line(2, 1) | dict(loss=float('nan'))])
    assert 'NaN' in (folder / 'scalars.json').read_text()
    assert json.dumps(read_run_log(tmp_path).training[1]['loss']) == 'NaN'
