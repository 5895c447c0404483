"""Random images and boxes, the same for the same seed."""

import math

import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from torch import Tensor

SMALLEST, LARGEST = 0.04, 0.8


def random_boxes(num_boxes: int, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Boxes inside an image, as many small as large ones.

    The logarithm of a side is uniform, from 4 % to 80 % of the image's.

    Args:
        num_boxes: How many (G).
        size: Height and width of the image in pixels.
        generator: On the CPU.

    Returns:
        (G, 4) xyxy pixels.
    """
    low, high = math.log(SMALLEST), math.log(LARGEST)
    sides = (low + (high - low) * torch.rand(num_boxes, 2, generator=generator)).exp()  # (G, 2), relative
    corner = (1 - sides) * torch.rand(num_boxes, 2, generator=generator)
    height, width = size
    return torch.cat([corner, corner + sides], dim=1) * torch.tensor([width, height, width, height])


def random_sample(size: tuple[int, int], num_boxes: int, num_classes: int, generator: torch.Generator) -> DetDataSample:
    """A data sample with ``gt_instances`` of an image (height, width)."""
    sample = DetDataSample(metainfo=dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0)))
    boxes = random_boxes(num_boxes, size, generator)
    labels = torch.randint(num_classes, (num_boxes,), generator=generator)
    sample.gt_instances = InstanceData(bboxes=boxes, labels=labels)
    return sample


def random_image(size: tuple[int, int], generator: torch.Generator, channels: int = 3) -> Tensor:
    """(C, H, W) of bytes."""
    return torch.randint(256, (channels, *size), dtype=torch.uint8, generator=generator)
