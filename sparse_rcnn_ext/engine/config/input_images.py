"""What a network gets: the transforms of its test pipeline, by what they are, and size and channels of images."""

from collections.abc import Sequence

import torch
from mmcv.transforms import LoadAnnotations as MMCVLoadAnnotations
from mmcv.transforms import LoadImageFromFile
from mmcv.transforms import Pad as MMCVPad
from mmcv.transforms import Resize as MMCVResize
from mmdet.datasets.transforms import LoadAnnotations, PackDetInputs, Pad, Resize
from mmdet.models import DetDataPreprocessor
from mmdet.models.backbones.csp_darknet import Focus
from mmengine.config import Config
from torch import Tensor, nn

from sparse_rcnn_ext.errors import UserError

from .config_parts import DEFAULT_SCOPE, part_class, part_name, scope_of
from .paths import walk_datasets

_USUAL = (LoadImageFromFile, Resize, MMCVResize, Pad, MMCVPad, LoadAnnotations, MMCVLoadAnnotations, PackDetInputs)
# They change nothing of what the network gets.
_ONLY_OF_DATA = {'LoadAnnotations', 'PackDetInputs'}


def find_pipeline(cfg: Config) -> list[dict]:
    """The settings of the transforms that a config tests with, of several data sets the first one's; empty without."""
    return next(iter(_pipelines(cfg).values()), [])


def pipeline_of_tests(cfg: Config) -> list[dict]:
    """As :func:`find_pipeline`.

    Raises:
        UserError: If there is none, or several data sets give the network their images differently: of an image alone
            nobody knows which of them it would have been in.
    """
    pipelines = _pipelines(cfg)
    if not pipelines:
        raise UserError(f'{cfg.filename} has no test_dataloader.dataset.pipeline, which says how images are read')
    (first, pipeline), *others = pipelines.items()
    scope = scope_of(cfg)
    for other, steps in others:
        if _for_network(steps, scope) != _for_network(pipeline, scope):
            raise UserError(
                f'{first}.pipeline and {other}.pipeline of {cfg.filename} give the network images in two ways: set '
                'test_dataloader.dataset to the data set whose way is meant'
            )
    return pipeline


def _pipelines(cfg: Config) -> dict[str, list[dict]]:
    """By the place of the data set that has it."""
    places = walk_datasets(cfg.get('test_dataloader'), 'test_dataloader')
    return {place: dataset['pipeline'] for place, dataset in places if dataset.get('pipeline')}


def _for_network(pipeline: Sequence[dict], scope: str) -> list[dict]:
    return [step for step in pipeline if step_name(step, scope) not in _ONLY_OF_DATA]


def step_name(step: dict, scope: str = DEFAULT_SCOPE) -> str:
    """``'Resize'`` of mmdet's or mmcv's Resize, however the config names it, and so on for what pipelines usually have;
    of other transforms the type as the config has it."""
    kind = part_class(step, 'test_dataloader', scope)
    return kind.__name__ if kind in _USUAL else part_name(step)


def usual_steps(pipeline: Sequence[dict], scope: str = DEFAULT_SCOPE) -> dict[str, dict]:
    """The transforms of a pipeline by :func:`step_name`, in their order; of those that stand in it twice, the last."""
    return {step_name(step, scope): step for step in pipeline}


def inference_size(cfg: Config) -> tuple[int, int]:
    """Height and width in pixels to which the test pipeline brings a landscape image, before batch padding.

    Raises:
        UserError: If there is no test pipeline, or none of its transforms says a size.
    """
    for transform in reversed(find_pipeline(cfg)):
        size = transform.get({'Resize': 'scale', 'Pad': 'size'}.get(step_name(transform, scope_of(cfg)), ''))
        if isinstance(size, int):
            return size, size
        if size is not None:
            # An image that keeps its ratio fits into the scale either way up.
            return (min(size), max(size)) if transform.get('keep_ratio') else (size[1], size[0])
    raise UserError(
        f'{cfg.filename} says no size in test_dataloader.dataset.pipeline: give one with --shape HEIGHT WIDTH'
    )


def padded_size(cfg: Config, size: tuple[int, int]) -> tuple[int, int]:
    """Height and width after batch padding."""
    divisor = cfg.model.get('data_preprocessor', {}).get('pad_size_divisor', 1)
    return tuple(-(-side // divisor) * divisor for side in size)


def input_channels(network: nn.Module) -> int:
    """Channels of the images that a network takes, such as 3 of colour photographs, by its first convolution.

    Args:
        network: A detector or a backbone; one without any convolution counts as one of 3 channels.
    """
    for module in getattr(network, 'backbone', network).modules():
        if isinstance(module, Focus):
            # It puts the four pixels of a square on top of each other first.
            return module.conv.conv.in_channels // 4
        if isinstance(module, nn.Conv2d):
            return module.in_channels
    return 3


def blank_images(network: nn.Module, height: int, width: int, batch_size: int = 1) -> Tensor:
    """(B, C, H, W) float32 zeros on the CPU, with the channels that the network takes."""
    return torch.zeros(batch_size, input_channels(network), height, width)


def channel_problem(detector: nn.Module, channels: int) -> str | None:
    """What keeps images of so many channels from the network, in one phrase; None: nothing that is known.

    Args:
        detector: A detector of mmdet. Only of mmdet's own data preprocessor it is known what it makes of channels.
        channels: Of an image as the pipeline packs it.
    """
    preprocessor = detector.data_preprocessor
    if type(preprocessor) is not DetDataPreprocessor:
        return None
    noun = 'channel' if channels == 1 else 'channels'
    if preprocessor._channel_conversion:
        if channels < 3:
            return f'{channels} {noun}, and model.data_preprocessor.bgr_to_rgb turns 3 around'
        channels = 3  # it takes the first three
    if preprocessor._enable_normalize and len(preprocessor.mean) == 3 != channels:
        return f'{channels} {noun}, and model.data_preprocessor.mean is of 3'
    taken = input_channels(detector)
    return None if channels == taken else f'{channels} {noun}, and the network (model.backbone) takes {taken}'
