"""tools/analysis/mmdet_tool.py runs what mmdet brings along."""

import sys
from functools import partial
from pathlib import Path

import cv2
import mmdet
import pytest

from tests.report.conftest import training_line, write_log


@pytest.fixture(scope='module')
def tool(run_here):
    return partial(run_here, 'analysis/mmdet_tool.py')


@pytest.fixture
def log(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setattr(sys, 'argv', sys.argv)
    lines = [
        training_line(step, epoch) | dict(iter=step) for epoch in (1, 2) for step in range(5 * epoch - 4, 5 * epoch)
    ]
    return write_log(tmp_path, '1', lines) / 'scalars.json'


def test_curves_of_a_log(tool, log, tmp_path: Path):
    out = tmp_path / 'curves.png'
    # Its own default style is one that matplotlib lacks; that of mmdet 3.3.0 is one of seaborn's.
    style = 'dark' if mmdet.__version__ == '3.3.0' else 'default'
    tool('analyze_logs', 'plot_curve', log, '--keys', 'loss', 's1.loss_iou', '--style', style, '--out', out)
    assert cv2.imread(str(out)).std() > 5


def test_time_of_a_log(tool, log, capsys):
    tool('analyze_logs.py', 'cal_train_time', log)
    assert 'average iter time: 0.5000 s/iter' in capsys.readouterr().out


def test_names(tool, capsys):
    tool()
    names = capsys.readouterr().out.split('Names: ')[1].strip().split(', ')
    assert {'analyze_logs', 'coco_error_analysis', 'eval_metric', 'fuse_results'} <= set(names)
    with pytest.raises(SystemExit, match=r'mmdet has no analysis tool no_such: take one of .*analyze_logs'):
        tool('no_such')


def test_help_is_the_tools_own(tool, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', sys.argv)
    with pytest.raises(SystemExit):
        tool('fuse_results', '--help')
    assert '--fusion-iou-thr' in capsys.readouterr().out
