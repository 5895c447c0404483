"""tools/analysis/export_latency.py."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
import torch

from sparse_rcnn_ext.export.graph import DetectionGraph

ROW = re.compile(
    r'^\| (.+?) \| ([\d.]+) ms \(([\d.]+)–([\d.]+)\) \| ([\d.]+) × \| (?:([\d.]+) MB)? \| (.*?) \|$', re.MULTILINE
)


@pytest.fixture(scope='module')
def tool(repo_dir: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location('export_latency', repo_dir / 'tools/analysis/export_latency.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def threads():
    number = torch.get_num_threads()
    yield
    torch.set_num_threads(number)


def test_a_trained_model_and_a_file(tool, tiny_config, checkpoint, capsys):
    tool.main([str(tiny_config), str(checkpoint), '--formats', 'torchscript', '--rounds', '3', '--threads', '1'])
    printed = capsys.readouterr().out
    assert '2 stages, 40 proposals' in printed and '1 thread\n' in printed
    assert 'one of 160 × 96 pixels; files of fixed size' in printed
    (detector, file) = ROW.findall(printed)
    assert (detector[0], *detector[4:]) == ('detector in torch', '1.00', '', '')
    assert file[0] == 'torchscript'
    for _, middle, least, greatest, *_ in (detector, file):
        assert 0 < float(least) <= float(middle) <= float(greatest)
    assert float(file[4]) == pytest.approx(float(detector[1]) / float(file[1]), abs=0.2)
    compared, iou, _ = file[6].split(', ')
    assert int(compared) > 10 and float(iou) >= 0.999


def test_every_format_by_default_and_without_weights(tiny_config, run_tool, tmp_path):
    for name in ('onnxscript', 'onnxruntime', 'openvino'):
        pytest.importorskip(name, reason='pip install -r requirements/deploy.txt')
    size = 'test_dataloader.dataset.pipeline.1.scale=(64,64)'
    options = ['--rounds', '1', '--threads', '1', '--int8', '--cfg-options', size]
    result = run_tool('analysis/export_latency.py', tiny_config, *options, cwd=tmp_path)
    assert result.returncode == 0, result.stdout
    printed = result.stdout
    rows = ROW.findall(printed)
    names = ['detector in torch', 'onnx', 'openvino', 'torchscript', 'onnx, int8', 'openvino, int8']
    assert [row[0] for row in rows] == names
    sizes = dict(zip(names, (row[5] for row in rows), strict=True))
    for kind in ('onnx', 'openvino'):
        assert 0 < float(sizes[f'{kind}, int8']) < 0.8 * float(sizes[kind])
    assert [bool(row[6]) for row in rows] == [False, True, True, True, False, False]
    assert 'one of 64 × 64 pixels' in printed and 'onnxruntime 1.' in printed and 'openvino 20' in printed


def test_a_file_that_computes_something_else_is_not_timed(tool, tiny_config, checkpoint, monkeypatch):
    original = DetectionGraph.forward
    monkeypatch.setattr(DetectionGraph, 'forward', lambda *inputs: (original(*inputs)[0] + 9, *original(*inputs)[1:]))
    with pytest.raises(SystemExit, match=r'^error: the torchscript file does not compute what the detector does'):
        tool.main([str(tiny_config), str(checkpoint), '--formats', 'torchscript', '--rounds', '1', '--threads', '1'])


def test_mistakes_end_in_one_sentence(tool, tmp_path, capsys):
    other = tmp_path / 'other.py'
    other.write_text("default_scope = 'mmdet'\nmodel = dict(type='RPNHead')\n")
    for arguments, sentence in (
        ([str(other), '--formats', 'torchscript'], 'other.py is a RPNHead: export takes models of type'),
        ([str(other), 'none.pth', '--formats', 'torchscript'], 'error: no checkpoint file none.pth'),
    ):
        with pytest.raises(SystemExit) as stop:
            tool.main(arguments)
        assert sentence in str(stop.value) and '\n' not in str(stop.value)
    with pytest.raises(SystemExit):
        tool.main([str(other), '--rounds', '0'])
    assert '--rounds must be at least 1' in capsys.readouterr().err
    with pytest.raises(SystemExit):
        tool.main([str(other), '--formats', 'tflite', '--dynamic'])
    assert 'a .tflite is of one size: leave out --dynamic' in capsys.readouterr().err
