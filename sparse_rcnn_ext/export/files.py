"""Writes a detector as a file: ONNX, OpenVINO, TorchScript or LiteRT."""

import gc
import json
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zipfile import ZipFile, ZipInfo

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from sparse_rcnn_ext.errors import UserError

from .graph import INPUTS, OUTPUTS, DetectionGraph
from .runtime.sessions import KEY

OPSET = 18
EXPORTERS = ('onnxscript', 'onnx_ir', 'torch.onnx', 'torch.export')
"""Their loggers."""


def write_onnx(graph: DetectionGraph, metadata: dict[str, Any], out: Path) -> None:
    """Write ONNX of standard operators only, opset 18.

    The exporter is torch's newer one, on ``torch.export``: what it leaves open is open for every size, or it fails. The
    older one records one run, and warns of what may be a constant of that run.

    Args:
        graph: The detector.
        metadata: From :func:`~sparse_rcnn_ext.export.metadata.describe`.
        out: Ends in .onnx.

    Raises:
        UserError: If the model has something that cannot be exported.
    """
    import onnx
    from onnxscript import opset18

    def quotient(numbers: Any, divisor: Any) -> Any:
        """None is below zero, and so ONNX's, which cuts off, is the floor: the exporter's own takes seven operators."""
        return opset18.Div(numbers, divisor)

    with quiet(*EXPORTERS), _without_slow_rule(), _without_garbage_collection():
        program = torch.onnx.export(
            as_program(graph, metadata),
            dynamo=True,
            opset_version=OPSET,
            input_names=INPUTS,
            output_names=OUTPUTS,
            external_data=False,
            custom_translation_table={torch.ops.aten.floor_divide.default: quotient},
            verbose=False,
        )
    model = program.model_proto
    # Where in which source file each node comes from: longer than the graph, and nobody's business.
    for node in model.graph.node:
        del node.metadata_props[:]
    del model.graph.metadata_props[:]
    _drop_shapes_of_weights(model.graph)
    if not metadata['size']:
        _name_open_dimensions(model.graph)
    foreign = sorted({f'{node.domain}.{node.op_type}' for node in model.graph.node if node.domain})
    if foreign or model.functions:
        raise UserError(f'the model needs operators that are not of the ONNX standard: {", ".join(foreign)}')
    onnx.helper.set_model_props(model, {name: json.dumps(value) for name, value in metadata.items()})
    onnx.checker.check_model(model)
    onnx.save(model, out)


def write_openvino(graph: DetectionGraph, metadata: dict[str, Any], out: Path) -> None:
    """Write OpenVINO's two files, ``out`` and beside it .bin, by way of ONNX; see :func:`write_onnx`."""
    with TemporaryDirectory() as folder:
        file = Path(folder, 'model.onnx')
        write_onnx(graph, metadata, file)
        convert_to_openvino(file, metadata, out)


def convert_to_openvino(file: Path, metadata: dict[str, Any], out: Path) -> None:
    """Write OpenVINO's two files from the ONNX file of the same metadata."""
    import openvino

    # Its converter does the same, and tells Intel's servers about it.
    model = openvino.Core().read_model(file)
    model.set_rt_info(json.dumps(metadata), [KEY])
    # The precision is that of the ONNX file, in which half precision leaves the proposals' boxes as they are.
    openvino.save_model(model, out, compress_to_fp16=False)


def write_torchscript(graph: DetectionGraph, metadata: dict[str, Any], out: Path) -> None:
    """Write TorchScript, traced; C++ reads it without Python. Arguments as in :func:`write_onnx`."""
    with quiet(*EXPORTERS), graph.for_export():
        traced = torch.jit.freeze(torch.jit.trace(graph, _example(metadata), check_trace=False))
    torch.jit.save(traced, str(out), _extra_files={KEY: json.dumps(metadata)})


def write_tflite(graph: DetectionGraph, metadata: dict[str, Any], out: Path) -> None:
    """Write what LiteRT, once TensorFlow Lite, reads; ``sizes`` and ``labels`` are int32 in it.

    The metadata are a file of a ZIP archive after the network, which readers of the network do not look at.

    Args:
        graph: The detector.
        metadata: From :func:`~sparse_rcnn_ext.export.metadata.describe`, of fixed size.
        out: Ends in .tflite.

    Raises:
        UserError: If the model has something that cannot be converted.
    """
    import litert_torch

    inputs = dict(zip(INPUTS, _example(metadata), strict=True))
    # Its converter says on stdout how far it is, which takes minutes.
    with quiet(*EXPORTERS, 'root'), graph.for_export(), redirect_stdout(sys.stderr), _without_garbage_collection():
        try:
            model = litert_torch.convert(_NamedOutputs(graph).eval(), sample_kwargs=inputs)
        except Exception as error:  # of torch, of jax or of its own
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise UserError(f'litert-torch cannot convert the model ({reason}): take another --format') from error
        model.export(str(out))
    with ZipFile(out, 'a') as archive:
        archive.writestr(ZipInfo(f'{KEY}.json'), json.dumps(metadata))


class _NamedOutputs(nn.Module):
    def __init__(self, graph: DetectionGraph) -> None:
        super().__init__()
        self.network = graph

    def forward(self, images: Tensor, sizes: Tensor) -> dict[str, Tensor]:
        return dict(zip(OUTPUTS, self.network(images, sizes), strict=True))


def _example(metadata: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """An input: one image where its size is fixed, else two of any allowed size.

    torch takes ones for constants, also one times the divisor.
    """
    divisor = metadata['pad_divisor']
    height, width = metadata['size'] or (max(2, -(-96 // divisor)) * divisor, max(3, -(-128 // divisor)) * divisor)
    batch = 1 if metadata['size'] else 2
    return torch.zeros(batch, 3, height, width), torch.tensor([[height, width]] * batch)


def as_program(graph: DetectionGraph, metadata: dict[str, Any]) -> ExportedProgram:
    """The graph by ``torch.export``, of any or of one size as the metadata say."""
    shapes = None
    if not metadata['size']:
        batch, divisor = Dim('batch'), metadata['pad_divisor']
        shapes = dict(images={0: batch, 2: divisor * Dim('height'), 3: divisor * Dim('width')}, sizes={0: batch})
    with graph.for_export():
        try:
            return torch.export.export(graph, _example(metadata), dynamic_shapes=shapes, strict=False)
        except (torch._dynamo.exc.UserError, RuntimeError) as error:
            first_line = str(error).strip().splitlines()[0]
            advice = 'export without --dynamic' if shapes else 'give a model of parts that can be'
            raise UserError(f'the model cannot be exported ({first_line}): {advice}') from error


def _drop_shapes_of_weights(graph: Any) -> None:
    """Weights have their own; onnxruntime's quantizer puts others under their names, and stops where both differ."""
    weights = {tensor.name for tensor in graph.initializer}
    kept = [value for value in graph.value_info if value.name not in weights]
    del graph.value_info[:]
    graph.value_info.extend(kept)


def _name_open_dimensions(graph: Any) -> None:
    """Give the exporter's terms, such as ``32*s34``, names: some readers stop at a name that is a term."""
    # Kept, and not left to be inferred: without the shapes in between, onnxruntime 1.23 dies of a half-precision file.
    values = [*graph.input, *graph.output, *graph.value_info]
    shapes = [value.type.tensor_type.shape.dim for value in values]
    names = {shapes[0][place].dim_param: name for place, name in ((0, 'batch'), (2, 'height'), (3, 'width'))}
    for dimension in (dimension for shape in shapes for dimension in shape if dimension.dim_param):
        dimension.dim_param = names.setdefault(dimension.dim_param, f'open_{len(names) - 2}')


@contextmanager
def _without_slow_rule() -> Iterator[None]:
    """Without the optimizer's rule SlicesSplit, which our graphs have nothing for.

    It looks through the whole graph from each of its nodes, which was a third of the time of the whole export.
    """
    from onnxscript import rewriter

    name = '_DEFAULT_REWRITE_RULES'
    rules = getattr(rewriter, name, ())
    setattr(rewriter, name, tuple(rule for rule in rules if rule.name != 'SlicesSplit'))
    try:
        yield
    finally:
        setattr(rewriter, name, rules)


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """It looks through the growing graph again and again, none of it garbage: a fifth of the time of an export."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def quiet(*names: str) -> Iterator[None]:
    """Without remarks of these loggers, and without warnings, which are about the insides of exporters."""
    levels = {logging.getLogger(name): logging.getLogger(name).level for name in names}
    for logger in levels:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)
