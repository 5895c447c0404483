"""tools/deploy/export.py, run as a user runs it."""

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
import torch

from sparse_rcnn_ext.engine.config.run_config import load_config
from sparse_rcnn_ext.export import Detector
from sparse_rcnn_ext.export.check import TOLERANCES, check_file
from sparse_rcnn_ext.export.files import write_torchscript
from sparse_rcnn_ext.export.graph import DetectionGraph
from sparse_rcnn_ext.export.metadata import describe
from sparse_rcnn_ext.prediction import Predictor
from tests.export.examples import read_images


def import_tool(path: Path) -> ModuleType:
    """A tool in this process; a start of its own takes seconds."""
    spec = importlib.util.spec_from_file_location(f'tool_{path.stem}', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def export_tool(repo_dir: Path) -> ModuleType:
    return import_tool(repo_dir / 'tools/deploy/export.py')


@pytest.fixture(scope='module')
def photograph(shared_dir: Path) -> Path:
    return shared_dir / 'data/coco_mini/val2017/000000397133.jpg'


def test_onnx_is_written_and_checked(tiny_config, checkpoint, photograph, export_tool, tmp_path, capsys):
    """Of one size, in a third of the time; export/test_files.py has those of any size."""
    pytest.importorskip('onnxscript', reason='pip install -r requirements/deploy.txt')
    pytest.importorskip('onnxruntime', reason='pip install -r requirements/deploy.txt')
    out = tmp_path / 'tiny.onnx'
    options = ['--stages', '1', '--check', str(photograph), '--out', str(out)]
    export_tool.main([str(tiny_config), str(checkpoint), *options])
    lines = capsys.readouterr().out.splitlines()[-6:]
    assert lines[0].startswith(f'{out}: ') and lines[0].endswith('1 stages, takes one image of 96 × 160')
    assert lines[1] == 'precision: float32'
    assert lines[2].startswith('input: at most ') and lines[2].endswith("levels from the test pipeline's")
    compared = int(lines[3].split('detections over 0.05: ')[1].split()[0])
    assert compared > 10 and ' 0 without a partner' in lines[3]
    assert ' ms the file, ' in lines[5]
    assert Detector(out).metadata['stages'] == 1


def test_int8_is_written_and_checked(tiny_config, checkpoint, photograph, export_tool, tmp_path, capsys):
    pytest.importorskip('openvino', reason='pip install -r requirements/deploy.txt')
    out = tmp_path / 'tiny.xml'
    options = ['--format', 'openvino', '--int8', '--calibrate', str(photograph.parent), '--calibration-images', '4']
    options += ['--stages', '1', '--check', str(photograph), '--out', str(out)]
    export_tool.main([str(tiny_config), str(checkpoint), *options])
    printed = capsys.readouterr()
    lines = printed.out.splitlines()[-6:]
    assert lines[0].startswith(f'{out}: ') and lines[1] == 'precision: int8'
    assert lines[3].startswith('detections over 0.3: ')
    assert lines[3].endswith('IoU of at least 0.5 and score within 0.2')
    assert 'calibration: 100%' in printed.err and '4/4' in printed.err and 'pre-processing' not in printed.err
    assert Detector(out).metadata['precision'] == 'int8'
    assert sorted(file.name for file in tmp_path.iterdir()) == ['tiny.bin', 'tiny.xml']


def test_torchscript_of_another_size_beside_the_checkpoint(
    tiny_config, checkpoint, photograph, export_tool, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    options = ['--format', 'torchscript', '--fp16', '--check', str(photograph)]
    options += ['--cfg-options', 'test_dataloader.dataset.pipeline.1.scale=(128,128)']
    export_tool.main([str(tiny_config), str(checkpoint), *options])
    detector = Detector(checkpoint.with_suffix('.torchscript'))
    assert detector.metadata['size'] == [128, 128] and detector.metadata['precision'] == 'float16'
    assert 'takes one image of 128 × 128' in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ('options', 'sentence'),
    [
        (['--out', 'model.xml'], 'error: --out is model.xml: a file of --format onnx ends in .onnx'),
        (['--out', 'nowhere/model.onnx'], 'error: --out is nowhere/model.onnx, and there is no folder nowhere'),
        (['--stages', '7'], 'error: --stages is 7: the model has 2, give a number from 1 to 2'),
        (
            ['--cfg-options', 'model.rpn_head.num_proposals=41'],
            'rpn_head.init_proposal_bboxes.weight is 40×4 in the file and 41×4 in the model',
        ),
        (['--format', 'torchscript', '--check', 'none.jpg'], 'error: --check none.jpg cannot be read'),
        (['--int8', '--calibrate', 'none'], 'error: --calibrate: '),
    ],
)
def test_mistakes_end_in_one_sentence(tiny_config, checkpoint, export_tool, tmp_path, monkeypatch, options, sentence):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        export_tool.main([str(tiny_config), str(checkpoint), *options])
    assert str(stop.value).startswith('error: ') and sentence in str(stop.value) and '\n' not in str(stop.value)
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_is_named_first(tiny_config, checkpoint, export_tool, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    taken = tmp_path / 'taken.torchscript'
    taken.mkdir()
    options = ['--format', 'torchscript', '--out', taken.name]
    with pytest.raises(SystemExit, match=r'^error: taken\.torchscript cannot be written: name another file as --out$'):
        export_tool.main([str(tiny_config), str(checkpoint), *options])

    def full(*_: object) -> None:
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr('sparse_rcnn_ext.export.files.write_torchscript', full)
    options[-1] = 'model.torchscript'
    sentence = r'^error: model\.torchscript cannot be written \(No space left on device\): name another file as --out$'
    with pytest.raises(SystemExit, match=sentence):
        export_tool.main([str(tiny_config), str(checkpoint), *options])


@pytest.mark.parametrize(
    ('options', 'package'),
    [
        ([], 'onnx'),
        ([], 'onnxscript'),
        (['--check', 'photo.jpg'], 'onnxruntime'),
        (['--format', 'openvino'], 'openvino'),
    ],
)
def test_packages_that_are_missing_are_named(tiny_config, checkpoint, export_tool, monkeypatch, options, package):
    for name in ('onnx', 'onnxscript', 'onnxruntime', 'openvino'):
        monkeypatch.setitem(sys.modules, name, None if name == package else ModuleType(name))
    with pytest.raises(SystemExit) as stop:
        export_tool.main([str(tiny_config), str(checkpoint), *options])
    assert re.fullmatch(rf'error: .*\b{package}\b.*: pip install -r requirements/deploy\.txt', str(stop.value))


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (['--format', 'tensorrt'], ['--format: invalid choice', 'tensorrt', 'onnx', 'openvino', 'torchscript']),
        (['--int8', '--fp16'], ['--int8 is for onnx and openvino: leave out --fp16']),
        (['--int8', '--format', 'torchscript'], ['--int8 is for onnx and openvino: leave out --format torchscript']),
        (['--int8', '--format', 'tflite'], ['--int8 is for onnx and openvino: leave out --format tflite']),
        (['--dynamic', '--format', 'tflite'], ['a .tflite is of float32 and one size: leave out --dynamic']),
        (['--fp16', '--format', 'tflite'], ['a .tflite is of float32 and one size: leave out --fp16']),
        (['--int8', '--calibration-images', '0'], ['--calibration-images must be at least 1']),
        (['--calibrate', 'photos'], ['are for --int8: give that, too']),
    ],
)
def test_options_that_do_not_fit(tiny_config, checkpoint, export_tool, capsys, options, words):
    with pytest.raises(SystemExit):
        export_tool.main([str(tiny_config), str(checkpoint), *options])
    line = capsys.readouterr().err.splitlines()[-1]
    assert all(word in line for word in words)


@pytest.mark.parametrize('options', [[], ['--stages', '1']])
def test_another_detector_is_refused(checkpoint, export_tool, tmp_path, options):
    config = tmp_path / 'other.py'
    config.write_text("default_scope = 'mmdet'\nmodel = dict(type='RPNHead')\n")
    with pytest.raises(SystemExit, match=r'is a RPNHead: export takes models of type sparse_rcnn_ext\.SparseRCNN'):
        export_tool.main([str(config), str(checkpoint), *options])


def test_a_file_of_other_weights_fails_the_check(tiny_config, checkpoint, shared_dir, tmp_path):
    cfg = load_config(str(tiny_config), None, None)
    predictor = Predictor(cfg, str(checkpoint), 'cpu')
    metadata = describe(cfg, predictor.model, predictor.classes, True, False)
    graph = DetectionGraph(predictor.model, 32)
    graph.detector.roi_head.bbox_head[-1].fc_reg.bias.data += torch.tensor([0.02, 0.0, 0.0, 0.0])
    write_torchscript(graph, metadata | dict(mean=[123.675, 116.28, 100.0]), tmp_path / 'moved.torchscript')
    image = np.ascontiguousarray(read_images(shared_dir, 1)[0][..., ::-1])
    file, tolerance = Detector(tmp_path / 'moved.torchscript'), TOLERANCES['float32']
    check = check_file(file, predictor, predictor.take(image), tolerance)
    assert not check.difference.is_within(tolerance)
    assert check.difference.missing == check.difference.compared > 10
    assert check.pixels == pytest.approx(3.53, abs=1.01)


def write_truth(detector: Detector, annotations: Path, images: Path, out: Path) -> None:
    """An annotation file of three images, with every second of their detections as the truth."""
    content = json.loads(annotations.read_text())
    ids = {category['name']: category['id'] for category in content['categories']}
    content['images'], content['annotations'] = content['images'][:3], []
    for image in content['images']:
        found = detector(cv2.imread(str(images / image['file_name']))[..., ::-1])
        for box, label in zip(found.boxes[::2].tolist(), found.labels[::2], strict=True):
            sides = [box[2] - box[0], box[3] - box[1]]
            annotation = dict(id=len(content['annotations']) + 1, image_id=image['id'], bbox=[*box[:2], *sides])
            annotation |= dict(area=sides[0] * sides[1], iscrowd=0, category_id=ids[detector.classes[label]])
            content['annotations'].append(annotation)
    out.write_text(json.dumps(content))


def test_an_exported_file_scores_as_the_checkpoint(tiny_config, checkpoint, run_tool, tmp_path, shared_dir):
    out, truth = tmp_path / 'tiny.torchscript', tmp_path / 'truth.json'
    # At this scale the three images stay as they are: a random network makes much of a level more or less.
    scale = 'test_dataloader.dataset.pipeline.1.scale=(640,640)'
    options = ['--format', 'torchscript', '--dynamic', '--out', out, '--cfg-options', scale]
    exported = run_tool('deploy/export.py', tiny_config, checkpoint, *options, cwd=tmp_path)
    assert exported.returncode == 0, exported.stdout
    assert exported.stdout.splitlines()[-1].endswith('2 stages, takes any number of images of any size')
    data = shared_dir / 'data/coco_mini'
    write_truth(Detector(out), data / 'annotations/instances_val2017.json', data / 'val2017', truth)

    files = [f'test_dataloader.dataset.ann_file={truth}', f'test_evaluator.ann_file={truth}']
    options = ['--cfg-options', *files, scale]
    result = run_tool('deploy/evaluate.py', tiny_config, out, *options, cwd=tmp_path)
    assert result.returncode == 0, result.stdout
    found = dict(re.findall(r'^(coco/\w+): (\S+)$', result.stdout, re.MULTILINE))
    tested = run_tool('test.py', tiny_config, checkpoint, '--work-dir', tmp_path / 'run', *options, cwd=tmp_path)
    assert tested.returncode == 0, tested.stdout
    expected = dict(re.findall(r'(coco/\w+): ([\d.-]+)', tested.stdout))
    assert found.keys() == expected.keys() and 0.2 < float(expected['coco/bbox_mAP']) < 0.9
    assert {name: float(value) for name, value in found.items()} == pytest.approx(
        {name: float(value) for name, value in expected.items()}, abs=1.001e-3
    )

    metric = ['test_evaluator.type=mmdet.CocoMetric', 'test_evaluator.metric_items=None']
    few = ['test_dataloader.dataset.indices=1', *metric]
    result = run_tool('deploy/evaluate.py', tiny_config, out, *options, *few, cwd=tmp_path)
    assert 'has 3 images: the evaluation is of the 1 that are run' in result.stdout


def test_files_that_cannot_be_scored_end_in_one_sentence(tiny_config, checkpoint, repo_dir, tmp_path):
    evaluate = import_tool(repo_dir / 'tools/deploy/evaluate.py')
    (tmp_path / 'broken.torchscript').write_text('no network')
    for file, sentence in (
        (checkpoint, f'error: {checkpoint} ends in none of .onnx'),
        (tmp_path / 'none.onnx', f'error: no file {tmp_path}/none.onnx'),
        (tmp_path / 'broken.torchscript', f'error: {tmp_path}/broken.torchscript cannot be opened'),
    ):
        with pytest.raises(SystemExit) as stop:
            evaluate.main([str(tiny_config), str(file)])
        assert str(stop.value).startswith(sentence) and '\n' not in str(stop.value)
