"""Deltas of a stage applied to the boxes it looked at."""

import math

import torch
from torch import Tensor


def decode_deltas(boxes: Tensor, deltas: Tensor, stds: Tensor, wh_scale_range: tuple[float, float]) -> Tensor:
    """Shift and scale boxes, as in R-CNN (https://arxiv.org/abs/1311.2524, appendix C).

    Centres move by delta · std · side, sides grow by exp(delta · std). The result is not clipped to the image.

    Args:
        boxes: (..., 4) xyxy pixels.
        deltas: (..., 4) as (dx, dy, dw, dh).
        stds: (4,) what a delta of one stands for; (0.5, 0.5, 1, 1) are the weights (2, 2, 1, 1) of detectron2.
        wh_scale_range: Least and greatest factor by which a side may change; a lower end of 0 means no lower bound.

    Returns:
        (..., 4) xyxy pixels, in at least float32.
    """
    dtype = torch.promote_types(torch.promote_types(boxes.dtype, deltas.dtype), torch.float32)
    deltas = deltas.to(dtype) * stds.to(dtype)
    boxes = boxes.to(dtype)
    lower = math.log(wh_scale_range[0]) if wh_scale_range[0] > 0 else None

    sides = boxes[..., 2:] - boxes[..., :2]
    centers = (boxes[..., :2] + boxes[..., 2:]) * 0.5 + deltas[..., :2] * sides
    half_sides = sides * deltas[..., 2:].clamp(min=lower, max=math.log(wh_scale_range[1])).exp() * 0.5
    return torch.cat([centers - half_sides, centers + half_sides], dim=-1)
