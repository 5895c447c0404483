"""Brings an exported detector to integers of 8 bits, by images that are like those it will see."""

import json
import logging
import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from mmcv.cnn.bricks.transformer import FFN
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import Tensor, nn
from tqdm import tqdm

from sparse_rcnn_ext.datasets.joined import find_image
from sparse_rcnn_ext.engine.config.config_parts import scope_of
from sparse_rcnn_ext.engine.config.paths import check_data_paths
from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.models import SparseRCNN
from sparse_rcnn_ext.prediction.image_file import UnreadableError, read_image
from sparse_rcnn_ext.prediction.sources import find_sources

from .files import convert_to_openvino, quiet, write_onnx
from .graph import DetectionGraph
from .plain_layers import TOWERS
from .runtime import Detector

FORMATS = ('onnx', 'openvino')
"""That have integers of 8 bits."""
LAYERS = ('Conv', 'MatMul', 'Gemm')
"""Kinds of nodes that have weights."""
PRECISION = dict(precision='int8')
"""What the metadata of a quantized file say."""


def write_int8(graph: DetectionGraph, metadata: dict[str, Any], out: Path, images: Iterable[np.ndarray]) -> None:
    """Write ONNX or OpenVINO's files, convolutions and linear layers in integers of 8 bits.

    Args:
        graph: The detector, in float32.
        metadata: From :func:`~sparse_rcnn_ext.export.metadata.describe`.
        out: Ends in .onnx or .xml.
        images: Each (H, W, 3) uint8 RGB; they tell how large the inputs of layers become.
    """
    with TemporaryDirectory() as folder:
        whole, quantized = (Path(folder, name) for name in ('float32.onnx', 'int8.onnx'))
        write_onnx(graph, metadata, whole)
        quantize(whole, images, out if out.suffix == '.onnx' else quantized, graph.detector)
        if out.suffix != '.onnx':
            convert_to_openvino(quantized, metadata | PRECISION, out)


def quantize(file: Path, images: Iterable[np.ndarray], out: Path, detector: SparseRCNN) -> None:
    """Quantize an ONNX file of ours, in standard operators (QuantizeLinear and DequantizeLinear).

    Layers with weights of their own are quantized. The sampling of RoIs, box arithmetic, norms and products of two
    inputs, such as attention's, stay as they are, and so do the layers that lose most for what they take: depthwise
    convolutions, the first layers of feed-forward networks, and the towers that say class and box.

    - Their inputs have 256 steps between the mean of the images' least values and that of their greatest.
    - Weights have a scale for each output, and 7 bits: CPUs without VNNI add products of 8 bits in 16, which overflow.
    - What they give stays float32, as in OpenVINO's own quantization: the pyramid and the residuals would lose by it.

    Args:
        file: From :func:`~sparse_rcnn_ext.export.files.write_onnx`.
        images: As in :func:`write_int8`.
        out: The new file.
        detector: What the file holds.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    prepare, model = Detector(file).prepare, onnx.load(file)
    others = {entry.key: entry.value for entry in model.metadata_props}
    onnx.helper.set_model_props(model, others | {name: json.dumps(value) for name, value in PRECISION.items()})

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self._images = iter(images)

        def get_next(self) -> dict[str, np.ndarray] | None:
            image = next(self._images, None)
            if image is None:
                return None
            batch = prepare([image])
            return dict(images=batch.pixels, sizes=batch.sizes)

    with quiet(logging.root.name):
        quantize_static(
            model,
            out,
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=LAYERS,
            nodes_to_quantize=quantized_layers(model.graph, detector),
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options=dict(CalibMovingAverage=True, OpTypesToExcludeOutputQuantization=LAYERS),
        )


def quantized_layers(graph: Any, detector: SparseRCNN) -> list[str]:
    """Names of the nodes that :func:`quantize` quantizes in a graph of ONNX that holds the detector."""
    from onnx.numpy_helper import to_array

    # By what they hold: the exporter turns some matrices over, and these lose their names.
    floats = {matrix.numpy().tobytes() for weight in _float_weights(detector) for matrix in (weight, weight.T)}
    weights = {tensor.name: to_array(tensor) for tensor in graph.initializer}
    return [
        node.name
        for node in graph.node
        if node.op_type in LAYERS
        and (weight := weights.get(node.input[1])) is not None
        and not (node.op_type == 'Conv' and weight.shape[1] == 1)
        and weight.tobytes() not in floats
    ]


def _float_weights(detector: SparseRCNN) -> Iterator[Tensor]:
    """Matrices of the head's layers that are not quantized."""
    for name, part in detector.roi_head.bbox_head.named_modules():
        if isinstance(part, FFN):
            layers = [layer for layer in part.modules() if isinstance(layer, nn.Linear)]
            yield from (layer.weight.detach() for layer in layers[:-1])
        elif isinstance(part, nn.Linear) and TOWERS & {*name.split('.')}:
            yield part.weight.detach()


SPLITS = ('train', 'val', 'test')
SEED = 0


def calibration_images(cfg: Config, source: str, count: int) -> Iterator[np.ndarray]:
    """Images as they are before any pipeline, drawn without repetition, the same ones each time; with progress.

    Args:
        cfg: Of which a split is taken.
        source: One of :data:`SPLITS`, or a folder.
        count: How many; fewer where there are not so many.

    Returns:
        Each (H, W, 3) uint8 RGB.

    Raises:
        UserError: If there are none, or one cannot be read.
    """
    paths = _split(cfg, source) if source in SPLITS else _folder(source)
    return _read(random.Random(SEED).sample(paths, min(count, len(paths))))


def _read(paths: Sequence[str]) -> Iterator[np.ndarray]:
    """With a bar that starts when the first is taken."""
    for path in tqdm(paths, desc='calibration', unit='image'):
        try:
            yield read_image(Path(path))[..., ::-1]
        except UnreadableError as error:
            raise UserError(f'--calibrate: {path} cannot be read ({error}): take it out') from error


def _split(cfg: Config, split: str) -> list[str]:
    if not cfg.get(f'{split}_dataloader'):
        raise UserError(f'{cfg.filename} has no {split}_dataloader: give --calibrate a folder of images')
    check_data_paths(cfg, (split,))
    init_default_scope(scope_of(cfg))
    dataset = DATASETS.build(cfg[f'{split}_dataloader'].dataset)
    places = (find_image(dataset, index) for index in range(len(dataset)))
    return [part.get_data_info(place)['img_path'] for part, place in places]


def _folder(folder: str) -> list[str]:
    sources, problems = find_sources([folder])
    paths = [source.path for source in sources if not source.is_video]
    if not paths:
        raise UserError(f'--calibrate: {problems[0] if problems else f"{folder} has no images"}')
    return paths
