"""Files that compute in half precision."""

import numpy as np
import pytest
import torch

from sparse_rcnn_ext.export import Detector
from sparse_rcnn_ext.export.check import TOLERANCES
from sparse_rcnn_ext.export.graph import DetectionGraph
from tests.export.examples import FORMATS, check_parity, read_images


@pytest.mark.parametrize('kind', FORMATS)
def test_half_precision(export, tiny_detector, shared_dir, kind):
    path, single = export(kind, half=True), export(kind)
    weights = [file.with_suffix('.bin') if kind == 'openvino' else file for file in (path, single)]
    assert weights[0].stat().st_size < 0.75 * weights[1].stat().st_size
    file = Detector(path, threads=1)
    assert file.metadata['precision'] == 'float16'
    images = read_images(shared_dir)
    assert check_parity(file, tiny_detector, images, TOLERANCES['float16']) > 30
    assert {output.dtype for output in file.run(*file.prepare(images)[:2])} == {np.dtype('f4'), np.dtype('i8')}


@torch.no_grad()
def test_half_precision_does_not_square_large_numbers(tiny_detector):
    """What is normalised after the first kernel is 1/64 of what it was, and comes out as before."""
    seen = {}
    for half in (False, True):
        graph = DetectionGraph(tiny_detector, 32, half)
        norm = graph.detector.roi_head.bbox_head[0].instance_interactive_conv.norm_in
        norm.register_forward_hook(lambda norm, inputs, output, half=half: seen.update({half: (*inputs, output)}))
        graph(torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(4)), torch.tensor([[64, 96]]))
    for half, single, share in zip(seen[True], seen[False], (64, 1), strict=True):
        # Of what goes in, and of what comes out.
        assert (half.float() * share - single).norm() < 0.01 * single.norm()


def test_half_precision_is_inside_the_onnx_file(export):
    path = export('onnx', half=True)
    onnx = pytest.importorskip('onnx')
    model = onnx.shape_inference.infer_shapes(onnx.load(path))
    half, single = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
    weights = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    types = weights | {value.name: value.type.tensor_type.elem_type for value in model.graph.value_info}
    convolutions = [node for node in model.graph.node if node.op_type == 'Conv']
    assert len(convolutions) > 20
    assert {types[name] for node in convolutions for name in (*node.input, *node.output)} == {half}
    # Weights of the proposals, which are boxes, and constants of the box arithmetic stay.
    numbers = dict.fromkeys((half, single), 0)
    for tensor in model.graph.initializer:
        if tensor.data_type in numbers:
            numbers[tensor.data_type] += int(np.prod(tensor.dims))
    assert numbers[half] > 50 * numbers[single]


def test_half_precision_is_inside_the_other_files(export):
    openvino = pytest.importorskip('openvino', reason='pip install -r requirements/deploy.txt')
    sizes = {'f16': 0, 'f32': 0}
    for node in openvino.Core().read_model(export('openvino', half=True)).get_ops():
        if node.get_type_name() == 'Constant' and node.get_element_type().is_real():
            sizes[node.get_element_type().get_type_name()] += int(np.prod(list(node.get_output_shape(0))))
    # Boxes of proposals, of which there are 20, and what is computed with boxes keep their precision.
    assert 4 * 20 <= sizes['f32'] < sizes['f16'] / 50
    graph = torch.jit.load(export('torchscript', half=True)).graph
    constants = [node.output().toIValue() for node in graph.nodes() if node.kind() == 'prim::Constant']
    weights = [value for value in constants if isinstance(value, torch.Tensor) and value.is_floating_point()]
    half = sum(value.numel() for value in weights if value.dtype == torch.float16)
    assert half > 50 * sum(value.numel() for value in weights if value.dtype != torch.float16)
