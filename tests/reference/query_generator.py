"""What a query generator says of one location, and how well that fits a ground truth, in slow steps."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn.functional import layer_norm, linear

from tests.reference.boxes import Box, iou

Cell = tuple[float, float, float]
"""Centre x, centre y and stride."""


class Location(NamedTuple):
    """A cell of a pyramid that lies in the image, at least in part."""

    logit: float
    box: Box
    cell: Cell
    feature: Tensor
    """(C,)."""


def locations(
    head: nn.Module, levels: list[Tensor], strides: list[int], width: float, height: float
) -> list[Location | None]:
    """Of every location of levels (C, H, W) of one image, row by row; None where batch padding is all there is."""
    return [
        look(head, level, x, y, stride) if x * stride < width and y * stride < height else None
        for level, stride in zip(levels, strides, strict=True)
        for y in range(level.shape[1])
        for x in range(level.shape[2])
    ]


def look(head: nn.Module, level: Tensor, x: int, y: int, stride: int) -> Location:
    """One location, from the 3×3 cells around it; beyond the level all is 0."""
    total = head.conv.bias.clone()
    for dy in range(3):
        for dx in range(3):
            row, column = y + dy - 1, x + dx - 1
            if 0 <= row < level.shape[1] and 0 <= column < level.shape[2]:
                total += head.conv.weight[:, :, dy, dx] @ level[:, row, column]
    hidden = layer_norm(total, total.shape, head.norm[0].weight, head.norm[0].bias).clamp(min=0)
    centre_x, centre_y = (x + 0.5) * stride, (y + 0.5) * stride
    left, up, right, down = (
        math.exp(min(max(value, -5.0), 5.0)) * stride * head.box_scale / 2
        for value in linear(hidden, head.box.weight, head.box.bias).tolist()
    )
    mixed = linear(hidden, head.feature[0].weight, head.feature[0].bias)
    return Location(
        linear(hidden, head.objectness.weight, head.objectness.bias).item(),
        (centre_x - left, centre_y - up, centre_x + right, centre_y + down),
        (centre_x, centre_y, float(stride)),
        layer_norm(mixed, mixed.shape, head.feature[1].weight, head.feature[1].bias),
    )


def quality(logit: float, box: Box, cell: Cell, target: Box, bonus: float) -> float:
    """p^0.2 · IoU^0.8, and ``bonus`` more inside of the target, which counts as no smaller than the cell."""
    prob = 1 / (1 + math.exp(-logit))
    x, y, stride = cell
    half_width, half_height = (max(target[axis + 2] - target[axis], stride) / 2 for axis in (0, 1))
    is_inside = (
        abs(x - (target[0] + target[2]) / 2) <= half_width and abs(y - (target[1] + target[3]) / 2) <= half_height
    )
    return prob**0.2 * iou(box, target) ** 0.8 + bonus * is_inside


def qualities(
    logits: Sequence[float], boxes: Sequence[Box], cells: Sequence[Cell], targets: Sequence[Box], bonus: float
) -> list[list[float]]:
    """Of each location (row) for each target (column)."""
    return [
        [quality(*location, target, bonus) for target in targets] for location in zip(logits, boxes, cells, strict=True)
    ]
