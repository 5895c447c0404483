"""Integers of 8 bits: which layers have them, and what the files find."""

from collections import Counter

import numpy as np
import pytest

from sparse_rcnn_ext.export import FORMATS, Detector
from sparse_rcnn_ext.export.check import TOLERANCES
from sparse_rcnn_ext.export.files import convert_to_openvino
from sparse_rcnn_ext.export.quantization import PRECISION, quantize, quantized_layers
from tests.export.examples import check_parity, read_images

onnx = pytest.importorskip('onnx', reason='pip install -r requirements/deploy.txt')
pytest.importorskip('onnxruntime', reason='pip install -r requirements/deploy.txt')


@pytest.fixture(scope='module')
def int8_file(export, tiny_detector, shared_dir, made_once):
    """``int8_file(format)``: the tiny detector, quantized by four photographs."""

    def fill(folder):
        single = export('onnx')
        quantize(single, read_images(shared_dir, 4), folder / 'tiny.onnx', tiny_detector)
        pytest.importorskip('openvino', reason='pip install -r requirements/deploy.txt')
        convert_to_openvino(folder / 'tiny.onnx', Detector(single).metadata | PRECISION, folder / 'tiny.xml')

    return lambda kind: made_once('int8', fill) / f'tiny{FORMATS[kind].ending}'


@pytest.mark.parametrize('kind', ['onnx', 'openvino'])
def test_the_same_objects_are_found(int8_file, export, tiny_detector, shared_dir, kind):
    file, single = Detector(int8_file(kind), threads=1), Detector(export(kind), threads=1)
    assert file.metadata == single.metadata | dict(precision='int8')
    # Of any number and size, others than those it was quantized by.
    images = [np.ascontiguousarray(image[:, ::-1]) for image in read_images(shared_dir)]
    assert check_parity(file, tiny_detector, images, TOLERANCES['int8']) > 10
    ours, theirs = (found.run(*found.prepare(images)[:2]) for found in (file, single))
    # Not the very same: something was quantized.
    assert 1e-4 < np.abs(ours[1] - theirs[1]).max() < 0.2


def test_openvino_computes_what_onnxruntime_does(int8_file, shared_dir):
    files = [Detector(int8_file(kind), threads=1) for kind in ('onnx', 'openvino')]
    images = read_images(shared_dir, 2)
    ours, theirs = (file.run(*file.prepare(images)[:2])[1] for file in files)
    # One step of 256 more or less, where both round.
    np.testing.assert_allclose(ours, theirs, atol=0.02)


def test_which_layers_are_quantized(int8_file, export):
    model, single = onnx.load(int8_file('onnx')), onnx.load(export('onnx'))
    onnx.checker.check_model(model, full_check=True)
    assert {node.domain for node in model.graph.node} == {''}
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    makers = {name: node for node in model.graph.node for name in node.output}

    def kinds(node) -> tuple[str, ...]:
        """What makes the input and the weights, and what the weights are."""
        made = [makers[name].op_type if name in makers else '' for name in node.input[:2]]
        quantized = made[1] == 'DequantizeLinear' and weights[makers[node.input[1]].input[0]]
        assert not quantized or quantized.data_type == onnx.TensorProto.INT8
        # 7 bits, as 8 overflow on CPUs without VNNI.
        assert not quantized or np.abs(onnx.numpy_helper.to_array(quantized)).max() <= 64
        return ('int8', made[0]) if quantized else ('float32',) if node.input[1] in weights else ('two inputs',)

    found = {node.name: kinds(node) for node in model.graph.node if node.op_type in ('Conv', 'MatMul', 'Gemm')}
    convolutions = [found.pop(node.name) for node in single.graph.node if node.op_type == 'Conv']
    assert len(convolutions) > 20 and {*convolutions} == {('int8', 'DequantizeLinear')}
    # In each of the two stages: in and out of attention, dynamic_layer, fc_layer, the second of the feed-forward. Left
    # are the first of the feed-forward, the box tower of three and fc_reg, and the last stage's class tower and fc_cls.
    counts = Counter(kind for kind, *_ in found.values())
    assert (counts['int8'], counts['float32']) == (2 * 5, 2 * 5 + 2)
    # Attention, the sampling of RoIs and dynamic convolutions.
    assert counts['two inputs'] >= 2 * (2 + 1 + 2)


def test_what_layers_give_is_quantized_where_another_layer_takes_it_alone(int8_file, export):
    """Sums in the pyramid and of residuals are of what the convolutions give, not of its 256 steps."""

    def given_to(file, kind: str) -> set[str]:
        """Names of the convolutions whose output a node of that kind takes."""
        graph = onnx.load(file).graph
        taken = {node.input[0] for node in graph.node if node.op_type == kind}
        return {node.name for node in graph.node if node.op_type == 'Conv' and node.output[0] in taken}

    assert given_to(int8_file('onnx'), 'QuantizeLinear') <= given_to(export('onnx'), 'Conv')


def test_other_tools_are_not_needed_to_run_it(int8_file):
    """Nothing stands in the metadata but ours and what onnxruntime's quantizer leaves."""
    names = {entry.key for entry in onnx.load(int8_file('onnx')).metadata_props}
    assert names - {*Detector(int8_file('onnx')).metadata} <= {'onnx.infer', 'onnx.quant.pre_process'}


def test_depthwise_convolutions_are_left(tiny_detector):
    shapes = dict(depthwise=(8, 1, 3, 3), grouped=(8, 2, 3, 3), plain=(8, 8, 1, 1))
    weights = [
        onnx.numpy_helper.from_array(np.ones(shape, np.float32), f'{name}.weight') for name, shape in shapes.items()
    ]
    nodes = [onnx.helper.make_node('Conv', [f'of_{name}', f'{name}.weight'], [name], name) for name in shapes]
    graph = onnx.helper.make_graph(nodes, 'three', [], [], weights)
    assert quantized_layers(graph, tiny_detector) == ['grouped', 'plain']
