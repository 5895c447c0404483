"""How well a location of a pyramid fits a ground truth, in Python floats."""

import math
from collections.abc import Sequence

from tests.reference.boxes import Box, iou

Cell = tuple[float, float, float]
"""Centre x, centre y and stride."""


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
