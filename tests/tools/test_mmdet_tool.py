"""tools/analysis/mmdet_tool.py runs what mmdet brings along."""

import json
import sys
from functools import partial
from multiprocessing.pool import ThreadPool
from pathlib import Path

import cv2
import mmdet
import pytest

from sparse_rcnn_ext.datasets.convert.coco_json import CocoJson
from tests.datasets.convert.minis import write_image
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
    assert {'analyze_logs', 'browse_dataset', 'coco_error_analysis', 'get_flops'} == set(names)
    with pytest.raises(SystemExit, match=r'mmdet has no analysis tool no_such: take one of .*analyze_logs'):
        tool('no_such')


def test_help_is_the_tools_own(tool, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', sys.argv)
    with pytest.raises(SystemExit):
        tool('browse_dataset', '--help')
    assert '--show-interval' in capsys.readouterr().out


def test_a_file_that_the_tool_cannot_read_is_one_sentence(tool, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, 'argv', sys.argv)
    results, annotations = tmp_path / 'results.json', tmp_path / 'annotations.json'
    annotations.write_text(json.dumps(dict(images=[], categories=[], annotations=[])))
    results.write_text('[{"image_id": 1,')
    with pytest.raises(SystemExit, match=r"^error: mmdet's \w+ stopped at its line \d+ .*: .* --help says"):
        tool('coco_error_analysis', results, tmp_path, '--ann', annotations)
    with pytest.raises(SystemExit, match=r"mmdet's analyze_logs stopped .*No such file .*'.*/none\.json"):
        tool('analyze_logs', 'cal_train_time', tmp_path / 'none.json')


def test_what_cannot_run_says_why(tool):
    with pytest.raises(
        SystemExit, match=r"^error: mmdet's eval_metric reads a \.pkl file, which could run code: take "
    ):
        tool('eval_metric', 'config.py', 'found.pkl')
    with pytest.raises(
        SystemExit, match=r"mmdet's benchmark needs psutil, and its --fuse-conv-bn breaks timm networks"
    ):
        tool('benchmark.py', 'config.py', '--fuse-conv-bn')


def test_pictures_of_training_images(tool, tiny_config, monkeypatch, tmp_path: Path):
    monkeypatch.setattr(sys, 'argv', sys.argv)
    tool('browse_dataset', tiny_config, '--output-dir', tmp_path / 'seen', '--not-show')
    assert len(list((tmp_path / 'seen').iterdir())) == 4


def test_flops(tool, tiny_config, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', sys.argv)
    tool('get_flops', tiny_config, '--num-images', 1)
    assert 'Flops: ' in capsys.readouterr().out


def test_errors_on_converted_data(tool, monkeypatch, tmp_path: Path):
    monkeypatch.setattr(sys, 'argv', sys.argv)
    write_image(tmp_path / 'a.jpg')
    coco = CocoJson(('cat', 'dog'), 'made by a test')
    coco.begin_image(tmp_path, 'a.jpg')
    coco.add_box('cat', (10, 10, 40, 40), False, 'a.xml')
    coco.write(tmp_path / 'truth.json')
    found = [dict(image_id=1, category_id=number, bbox=[10, 10, 30, 30], score=0.5) for number in (1, 2)]
    (tmp_path / 'found.json').write_text(json.dumps(found))
    # It starts 48 processes.
    monkeypatch.setattr('multiprocessing.Pool', ThreadPool)
    tool('coco_error_analysis', tmp_path / 'found.json', tmp_path / 'curves', '--ann', tmp_path / 'truth.json')
    curves = {path.name for path in (tmp_path / 'curves/bbox').iterdir()}
    assert {f'bbox-{name}-allarea.png' for name in ('cat', 'dog', 'allclass')} <= curves
