"""What a runtime has to know of a detector, read from its config."""

from collections.abc import Sequence
from typing import Any

from mmdet.models import DetDataPreprocessor
from mmengine.config import Config

from sparse_rcnn_ext.engine.config.config_parts import part_class, part_name, scope_of
from sparse_rcnn_ext.engine.config.input_images import (
    inference_size,
    input_channels,
    padded_size,
    pipeline_of_tests,
    usual_steps,
)
from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.models import SparseRCNN

_NEEDED = {'LoadImageFromFile', 'Resize', 'PackDetInputs'}
_KNOWN = _NEEDED | {'Pad', 'LoadAnnotations'}
_OF_8_BITS = ('color', 'color_ignore_orientation')


def describe(cfg: Config, detector: SparseRCNN, classes: Sequence[str], dynamic: bool, half: bool) -> dict[str, Any]:
    """The metadata of an exported file.

    Args:
        cfg: The config of a test, with all its settings made.
        detector: Built from it.
        classes: Their names, in the order of the labels.
        dynamic: Whether batch and size of the input are left open.
        half: Whether the network computes in float16.

    Returns:
        By name, all of them values of JSON:

        - ``classes``; ``stages``, ``proposals`` and ``top_k`` (detections an image); ``precision``.
        - ``size``: height and width of the input, None if open; then they are multiples of ``pad_divisor``.
        - ``resize``: ``scale``, two sides in pixels, and ``keep_ratio``: then images fit the longer and the shorter of
          the two, either way up; else ``scale`` is height and width.
        - ``pad``: None, or the height and width (``size``) that each image is filled up to with ``value`` (RGB), which
          then counts as part of the image.
        - ``clip_boxes``: whether boxes are to be clipped to their image, and those without area then dropped.
        - ``channel_order``, ``mean``, ``std``: (x − mean) / std of each channel, in that order.

    Raises:
        UserError: If the test pipeline or the data preprocessor does something else, or ``score_thr`` is set: a file
            gives ``top_k`` detections of every image, and whoever runs it drops some.
    """
    if detector.score_thr:
        raise UserError(
            f'model.test_cfg.score_thr is {detector.score_thr:g}, and an exported file gives equally many detections '
            'of every image: set it to None, and give score_thr to the Detector that runs the file'
        )
    channels = input_channels(detector)
    if channels != 3:
        raise UserError(
            f'the network (model.backbone) takes {channels} channel{"s" if channels > 1 else ""}, and what runs an '
            'exported file gives it colour images of 3: such a model runs with tools/predict.py and tools/test.py'
        )
    pipeline = pipeline_of_tests(cfg)
    steps = usual_steps(pipeline, scope_of(cfg))
    if len(steps) != len(pipeline) or not _NEEDED <= steps.keys() <= _KNOWN:
        raise UserError(
            f'{cfg.filename} tests with {", ".join(steps)}: export needs a test_dataloader.dataset.pipeline of '
            f'LoadImageFromFile, Resize, Pad (or not) and PackDetInputs'
        )
    color = steps['LoadImageFromFile'].get('color_type', 'color')
    if color not in _OF_8_BITS:
        raise UserError(
            f'{cfg.filename} tests on images that LoadImageFromFile reads with color_type={color!r}, and what runs an '
            "exported file gives it 8-bit colour images: set it to 'color', or run tools/predict.py and tools/test.py"
        )
    size = inference_size(cfg)
    preprocessor = _read_preprocessor(cfg)
    labels = 1 if detector.roi_head.one_label else len(classes)
    return dict(
        classes=list(classes),
        stages=detector.num_test_stages,
        proposals=detector.rpn_head.num_proposals,
        top_k=min(detector.max_per_img, detector.rpn_head.num_proposals * labels),
        precision='float16' if half else 'float32',
        clip_boxes=detector.clip_boxes,
        size=None if dynamic else list(padded_size(cfg, size)),
        resize=_read_resize(steps['Resize']),
        pad=_read_pad(steps['Pad']) if 'Pad' in steps else None,
        pad_divisor=preprocessor.get('pad_size_divisor', 1),
        channel_order='rgb' if preprocessor.get('bgr_to_rgb') or preprocessor.get('rgb_to_bgr') else 'bgr',
        mean=[float(value) for value in preprocessor.get('mean') or (0, 0, 0)],
        std=[float(value) for value in preprocessor.get('std') or (1, 1, 1)],
    )


def _read_preprocessor(cfg: Config) -> dict:
    preprocessor = cfg.model.get('data_preprocessor') or {}
    is_usual = part_class(preprocessor, 'model', scope_of(cfg)) is DetDataPreprocessor
    if not is_usual or preprocessor.get('pad_value', 0):
        raise UserError(
            f'{cfg.filename} has a data_preprocessor of type {part_name(preprocessor)}, pad_value '
            f'{preprocessor.get("pad_value", 0)}: export needs a DetDataPreprocessor, which pads with 0'
        )
    return preprocessor


def _read_resize(resize: dict) -> dict[str, Any]:
    scale = resize.get('scale')
    if scale is None or resize.get('interpolation', 'bilinear') != 'bilinear':
        raise UserError(
            f'the Resize of the test pipeline is {dict(resize)}: an exported detector needs a bilinear scale'
        )
    width, height = (scale, scale) if isinstance(scale, int) else scale
    return dict(scale=[height, width], keep_ratio=bool(resize.get('keep_ratio', False)))


def _read_pad(pad: dict) -> dict[str, Any]:
    if pad.get('size') is None or pad.get('padding_mode', 'constant') != 'constant':
        raise UserError(f'the Pad of the test pipeline is {dict(pad)}: export needs one with a size')
    value = pad.get('pad_val', 0)
    value = value.get('img', 0) if isinstance(value, dict) else value
    # Pipelines hold images as BGR.
    value = [value] * 3 if isinstance(value, (int, float)) else list(value)[::-1]
    width, height = pad['size']
    return dict(size=[height, width], value=value)
