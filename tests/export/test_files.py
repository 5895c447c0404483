"""Files of all formats against the detector that they were made of, on photographs."""

import gc
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.export import FORMATS, Detector, files
from sparse_rcnn_ext.export.check import run_eager
from sparse_rcnn_ext.export.graph import DetectionGraph
from sparse_rcnn_ext.export.metadata import describe
from sparse_rcnn_ext.export.runtime.network_input import Batch
from tests.export.examples import KINDS, TINY, build_detector, check_parity, read_images, read_recipe


@pytest.mark.parametrize('kind', KINDS)
def test_any_number_of_any_size(export, tiny_detector, shared_dir, kind):
    file = Detector(export(kind), threads=1)
    images = read_images(shared_dir, 4)
    for batch in (images[:1], images[1:], images[:2]):
        assert check_parity(file, tiny_detector, batch) > 10 * len(batch)
    for scale in ([64, 64], [200, 333]):
        file.metadata['resize']['scale'] = scale
        for batch in (images[:1], images[:3]):
            assert check_parity(file, tiny_detector, batch) > 10 * len(batch)


@pytest.mark.parametrize('kind', KINDS)
def test_fixed_size(export, tiny_detector, shared_dir, kind):
    file = Detector(export(kind, dynamic=False), threads=1)
    assert file.metadata['size'] == [96, 160]
    images = read_images(shared_dir, 2)
    for image in images:  # landscape, portrait
        assert check_parity(file, tiny_detector, [image]) > 10
    if kind != 'torchscript':  # whose shapes are open, and only the metadata's are fixed
        with pytest.raises(Exception, match=r'(?i)dimension|shape|size'):
            file.run(np.zeros((2, 3, 96, 160), np.float32), np.array([[96, 160]] * 2))
    # Images that do not fit into one batch are taken one by one.
    both = file.detect(images)
    for image, found in zip(images, both, strict=True):
        np.testing.assert_array_equal(found.boxes, file(image).boxes)


def fix_later(kind: str, file: Path, out: Path, batch: int, height: int, width: int) -> Path:
    """A file of any size, fixed at one by the tools that each runtime has for that."""
    if kind == 'openvino':
        openvino = pytest.importorskip('openvino')
        model = openvino.Core().read_model(file)
        model.reshape(dict(images=[batch, 3, height, width], sizes=[batch, 2]))
        openvino.save_model(model, out, compress_to_fp16=False)
        return out
    from onnxruntime.tools.onnx_model_utils import make_dim_param_fixed

    onnx = pytest.importorskip('onnx')
    model = onnx.load(file)
    for name, size in dict(batch=batch, height=height, width=width).items():
        make_dim_param_fixed(model.graph, name, size)
    onnx.save(model, out)
    return out


@pytest.mark.parametrize('kind', ['onnx', 'openvino'])
def test_a_size_that_was_fixed_later_is_kept_to(export, tiny_detector, shared_dir, tmp_path, kind):
    open_file, images = export(kind), read_images(shared_dir)
    file = Detector(fix_later(kind, open_file, tmp_path / f'fixed{FORMATS[kind].ending}', 2, 64, 96), threads=1)
    assert file.metadata['size'] == [64, 96]
    assert check_parity(file, tiny_detector, images[:2]) > 20
    # Two at a time, the second of them a copy where there is one image too few.
    together = file.detect(images, score_thr=0)
    assert len(together) == 3
    for image, found in zip(images, together, strict=True):
        for ours, right in zip(found, file(image, score_thr=0), strict=True):
            np.testing.assert_allclose(ours, right, rtol=1e-4, atol=1e-3)
    small = fix_later(kind, open_file, tmp_path / f'odd{FORMATS[kind].ending}', 1, 64, 112)
    with pytest.raises(ValueError, match=r'fixed at images of 64 × 112: fix it at multiples of 32 of at least 32 × 32'):
        Detector(small)


@pytest.mark.parametrize('kind', KINDS)
def test_threads_share_one_detector(export, shared_dir, kind):
    """Each gets what it gets alone: OpenVINO's own call gives some the detections of another thread's image."""
    file = Detector(export(kind), threads=1)
    photographs = read_images(shared_dir)
    images = [photographs[place % 3][: 300 + 20 * place, : 250 + 30 * place] for place in range(8)]
    alone = [file(image, score_thr=0) for image in images]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda place: file(images[place % 8], score_thr=0), range(80)))
    for place, found in enumerate(together):
        for ours, right in zip(found, alone[place % 8], strict=True):
            np.testing.assert_array_equal(ours, right)


def test_onnx_is_standard_and_says_what_it_is(export, tiny_recipe):
    path = export('onnx')
    onnx = pytest.importorskip('onnx')
    model = onnx.load(path)
    assert [(opset.domain, opset.version >= 17) for opset in model.opset_import] == [('', True)]
    assert {node.domain for node in model.graph.node} == {''} and not model.functions
    # Plain enough for runtimes that know no NaN, and of class heads the last stage's alone.
    assert not {'BatchNormalization', 'IsNaN', 'Where', 'Sign', 'Less', 'Equal', 'GatherND'} & {
        node.op_type for node in model.graph.node
    }
    # And small ones cost most where threads wait for each other: 28 convolutions, and two stages of 146.
    assert len(model.graph.node) < 460
    names = {tensor.name for tensor in model.graph.initializer}
    assert {name.split('.')[3] for name in names if 'fc_cls' in name} == {'1'}
    assert {name.split('.')[3] for name in names if 'fc_reg' in name} == {'0', '1'}
    inside = {dim.dim_param for value in model.graph.value_info for dim in value.type.tensor_type.shape.dim}
    assert all(name.isidentifier() for name in inside if name), inside
    onnx.checker.check_model(model, full_check=True)
    shapes = {
        value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {
        'images': ['batch', 3, 'height', 'width'],
        'sizes': ['batch', 2],
        'boxes': ['batch', 20, 4],
        'scores': ['batch', 20],
        'labels': ['batch', 20],
    }
    metadata = {prop.key: json.loads(prop.value) for prop in model.metadata_props}
    assert metadata['classes'] == list(tiny_recipe.classes)
    assert (metadata['stages'], metadata['proposals'], metadata['top_k']) == (2, 20, 20)
    assert (metadata['mean'], metadata['channel_order']) == ([123.675, 116.28, 103.53], 'rgb')
    # Nothing of the machine that wrote it.
    assert b'site-packages' not in path.read_bytes() and b'sparse_rcnn_ext/' not in path.read_bytes()


def test_onnxruntime_quantizes_the_file(export, shared_dir, tmp_path):
    single, path = export('onnx'), tmp_path / 'small.onnx'
    quantization = pytest.importorskip('onnxruntime.quantization', reason='pip install -r requirements/deploy.txt')
    # onnxruntime's CPU has no convolution with signed weights.
    quantization.quantize_dynamic(single, path, weight_type=quantization.QuantType.QUInt8)
    assert path.stat().st_size < 0.4 * single.stat().st_size
    file, images = Detector(path, threads=1), read_images(shared_dir)
    assert file.metadata == Detector(single, threads=1).metadata
    expected = Detector(single, threads=1).detect(images, score_thr=0)
    for found, right in zip(file.detect(images, score_thr=0), expected, strict=True):
        np.testing.assert_allclose(found.scores, right.scores, atol=0.05)


def test_openvino_is_written_by_way_of_onnx(export, monkeypatch, tmp_path):
    """``export`` converts a file that is there already."""
    expected, onnx = export('openvino'), export('onnx')
    monkeypatch.setattr(files, 'write_onnx', lambda graph, metadata, out: shutil.copy(onnx, out))
    path = tmp_path / expected.name
    FORMATS['openvino'].write(None, Detector(onnx).metadata, path)
    assert sorted(tmp_path.iterdir()) == [path.with_suffix('.bin'), path]
    assert path.with_suffix('.bin').read_bytes() == expected.with_suffix('.bin').read_bytes()
    assert Detector(path).metadata == Detector(expected).metadata


@pytest.mark.parametrize('kind', ['openvino', 'torchscript'])
def test_metadata_is_the_same_in_all_formats(export, kind):
    assert Detector(export(kind)).metadata == Detector(export('onnx')).metadata


def test_fewer_stages_are_a_smaller_file(export, repo_dir, shared_dir, tmp_path):
    whole = export('torchscript')
    cfg = read_recipe(repo_dir, options=TINY | {'model.test_cfg.num_stages': 1})
    detector = build_detector(cfg)
    metadata = describe(cfg, detector, cfg.classes, True, False)
    path = tmp_path / 'one.torchscript'
    FORMATS['torchscript'].write(DetectionGraph(detector, 32), metadata, path)
    assert path.stat().st_size < 0.9 * whole.stat().st_size
    file = Detector(path)
    assert file.metadata['stages'] == 1
    check_parity(file, detector, read_images(shared_dir))


def test_what_depends_on_the_data_is_refused_in_one_sentence(tiny_recipe, tiny_detector, tmp_path):
    pytest.importorskip('onnxscript', reason='pip install -r requirements/deploy.txt')

    class Moody(nn.Module):
        def forward(self, levels):
            return levels if levels[0].sum() > 0 else levels[::-1]

    graph = DetectionGraph(tiny_detector, 32)
    graph.detector.neck = nn.Sequential(graph.detector.neck, Moody())
    metadata = describe(tiny_recipe, tiny_detector, tiny_recipe.classes, True, False)
    with pytest.raises(UserError, match='the model cannot be exported') as error:
        FORMATS['onnx'].write(graph, metadata, tmp_path / 'moody.onnx')
    assert '\n' not in str(error.value)
    assert not list(tmp_path.iterdir())
    assert torch.is_grad_enabled()


def test_any_size_of_a_recipe_that_pads_to_squares(repo_dir):
    """Its divisor is 640, and one times that is a constant to torch."""
    options = TINY | {'model.roi_head.num_stages': 1}
    cfg = read_recipe(repo_dir, 'sparse-rcnn_r50_fpn_128-proposals_640-3x_coco', options)
    cfg.merge_from_dict({'test_dataloader.dataset.pipeline.1.scale': (640, 640)})
    detector = build_detector(cfg)
    metadata = describe(cfg, detector, cfg.classes, dynamic=True, half=False)
    assert metadata['pad_divisor'] == 640
    program = files.as_program(DetectionGraph(detector, 640), metadata)
    generator = torch.Generator().manual_seed(2)
    images, sizes = torch.randn(1, 3, 640, 1280, generator=generator), torch.tensor([[500, 1280]])
    with torch.no_grad():
        boxes, scores, labels = program.module()(images, sizes)
        ((their_boxes, their_scores, their_labels),) = run_eager(detector, Batch(images.numpy(), sizes, None))
    np.testing.assert_allclose(scores[0], their_scores, atol=1e-5)
    np.testing.assert_array_equal(labels[0], their_labels)
    np.testing.assert_allclose(boxes[0], their_boxes, atol=1e-2)


def test_garbage_is_collected_again_after_an_export_that_fails(monkeypatch, tmp_path):
    for name in FORMATS['onnx'].packages:
        pytest.importorskip(name, reason='pip install -r requirements/deploy.txt')
    was_enabled = []

    def fail(*_: object) -> None:
        was_enabled.append(gc.isenabled())
        raise KeyError

    monkeypatch.setattr(files, 'as_program', fail)
    with pytest.raises(KeyError):
        FORMATS['onnx'].write(None, {}, tmp_path / 'none.onnx')
    assert was_enabled == [False] and gc.isenabled()
