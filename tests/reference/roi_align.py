"""RoI features box by box: the paper's level, then torchvision's RoIAlign on that level alone."""

import math

import torch
from torch import Tensor
from torchvision.ops import roi_align

from tests.reference.boxes import area, pyramid_level


def level_index(box: list[float], num_levels: int) -> int:
    """Index of the level of a box, 0 for P2, as the paper has it; boxes without area belong to the finest."""
    if not area(box) > 0:
        return 0
    return min(max(math.floor(pyramid_level(box)) - 2, 0), num_levels - 1)


def roi_features(
    pyramid: list[Tensor], boxes: Tensor, output_size: int = 7, sampling_ratio: int = 2, first_stride: int = 4
) -> Tensor:
    """Pool (B·N, P, C) from levels (B, C, H, W) whose strides double, at boxes (B, N, 4) in xyxy pixels."""
    pooled = []
    for image, image_boxes in enumerate(boxes):
        for box in image_boxes:
            index = level_index(box.tolist(), len(pyramid))
            bins = roi_align(
                pyramid[index][image : image + 1],
                [box[None]],
                output_size,
                spatial_scale=1 / (first_stride * 2**index),
                sampling_ratio=sampling_ratio,
                aligned=True,
            )  # (1, C, output_size, output_size)
            pooled.append(bins[0].flatten(1).T)
    return torch.stack(pooled)
