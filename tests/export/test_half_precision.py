"""Files that compute in half precision."""

import re

import numpy as np
import pytest
import torch

from sparse_rcnn_ext.export import Detector
from sparse_rcnn_ext.export.check import TOLERANCES
from sparse_rcnn_ext.export.graph import DetectionGraph, _fold
from tests.export.examples import KINDS, build_detector, check_parity, read_images, read_recipe


@pytest.mark.parametrize('kind', KINDS)
def test_half_precision(export, tiny_detector, shared_dir, kind):
    path, single = export(kind, half=True), export(kind)
    weights = [file.with_suffix('.bin') if kind == 'openvino' else file for file in (path, single)]
    assert weights[0].stat().st_size < 0.75 * weights[1].stat().st_size
    file = Detector(path, threads=1)
    assert file.metadata['precision'] == 'float16'
    images = read_images(shared_dir)
    assert check_parity(file, tiny_detector, images, TOLERANCES['float16']) > 30
    assert {output.dtype for output in file.run(*file.prepare(images)[:2])} == {np.dtype('f4'), np.dtype('i8')}


SENSITIVE = re.compile(r'net\.conv_stem|conv_dw|norm|(cls|reg)_fcs|fc_(cls|reg)\b')


@torch.no_grad()
def test_what_loses_most_keeps_every_digit(repo_dir):
    """Depthwise and first convolutions, norms and towers; a detour by float16 would leave its traces."""
    detector = build_detector(read_recipe(repo_dir, 'sparse-rcnn_lite0_fpn_shapes'))
    graph = DetectionGraph(detector, 32, half=True).detector
    single = DetectionGraph(detector, 32).detector
    _fold(single)
    kinds = dict.fromkeys((True, False), 0)
    for network in ('backbone', 'neck', 'roi_head.bbox_head'):
        of_half, of_single = (dict(part.get_submodule(network).named_parameters()) for part in (graph, single))
        for name, weight in of_single.items():
            is_sensitive = SENSITIVE.search(name) is not None
            kinds[is_sensitive] += weight.numel()
            assert torch.equal(of_half[name], weight if is_sensitive else weight.half()), name
    assert kinds[False] > 10 * kinds[True] > 0


@torch.no_grad()
def test_norms_square_large_numbers(tiny_detector):
    """Of 2000 the square is no number of float16."""
    conv = DetectionGraph(tiny_detector, 32, half=True).detector.roi_head.bbox_head[0].instance_interactive_conv
    features = torch.randn(5, 49, 8, generator=torch.Generator().manual_seed(4)) * 2000
    found = conv.norm_in(features.half())
    assert found.dtype == torch.float16
    expected = torch.nn.functional.layer_norm(features, (8,), conv.norm_in.weight, conv.norm_in.bias)
    torch.testing.assert_close(found.float(), expected, rtol=2e-3, atol=2e-3)


def test_half_precision_is_inside_the_onnx_file(export):
    path = export('onnx', half=True)
    onnx = pytest.importorskip('onnx')
    model = onnx.shape_inference.infer_shapes(onnx.load(path))
    half, single = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
    weights = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    values = (*model.graph.input, *model.graph.value_info)
    types = weights | {value.name: value.type.tensor_type.elem_type for value in values}
    first, *convolutions = (node for node in model.graph.node if node.op_type == 'Conv')
    assert len(convolutions) > 20
    assert {types[name] for node in convolutions for name in (*node.input, *node.output)} == {half}
    norms = [node for node in model.graph.node if node.op_type == 'LayerNormalization']
    assert {types[name] for node in (first, *norms) for name in (*node.input, *node.output[:1])} == {single}
    # Not the boxes of the proposals, and constants of the box arithmetic.
    numbers = dict.fromkeys((half, single), 0)
    for tensor in model.graph.initializer:
        if tensor.data_type in numbers:
            numbers[tensor.data_type] += int(np.prod(tensor.dims))
    assert numbers[half] > 20 * numbers[single]


def test_half_precision_is_inside_the_other_files(export):
    openvino = pytest.importorskip('openvino', reason='pip install -r requirements/deploy.txt')
    sizes = {'f16': 0, 'f32': 0}
    for node in openvino.Core().read_model(export('openvino', half=True)).get_ops():
        if node.get_type_name() == 'Constant' and node.get_element_type().is_real():
            sizes[node.get_element_type().get_type_name()] += int(np.prod(list(node.get_output_shape(0))))
    # Boxes of proposals, of which there are 20, and what is computed with boxes keep their precision.
    assert 4 * 20 <= sizes['f32'] < sizes['f16'] / 20
    graph = torch.jit.load(export('torchscript', half=True)).graph
    constants = [node.output().toIValue() for node in graph.nodes() if node.kind() == 'prim::Constant']
    weights = [value for value in constants if isinstance(value, torch.Tensor) and value.is_floating_point()]
    half = sum(value.numel() for value in weights if value.dtype == torch.float16)
    assert half > 20 * sum(value.numel() for value in weights if value.dtype != torch.float16)
