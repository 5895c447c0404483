"""The channels of images: how many a network takes, and whether those of the data reach it."""

import torch
from mmdet.models import DetDataPreprocessor
from mmdet.models.backbones.csp_darknet import Focus
from torch import Tensor, nn


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
