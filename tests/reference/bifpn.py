"""One fusion layer of BiFPN, cell by cell, after equation 3 of https://arxiv.org/abs/1911.09070.

A map is a list of rows, a row a list of cells, a cell the vector of its channels, so that autograd can follow.
"""

import torch
from torch import Tensor

Map = list[list[Tensor]]
Convs = list[tuple[Tensor, Tensor]]


def to_map(level: Tensor) -> Map:
    """(C, H, W) as cells."""
    return [[level[:, y, x] for x in range(level.shape[2])] for y in range(level.shape[1])]


def to_tensor(level: Map) -> Tensor:
    """Cells as (C, H, W)."""
    return torch.stack([torch.stack(row, dim=1) for row in level], dim=1)


def resize(level: Map, height: int, width: int) -> Map:
    """The cell at the same share of the way, rounded towards the corner."""
    return [[level[y * len(level) // height][x * len(level[0]) // width] for x in range(width)] for y in range(height)]


def halve(level: Map, height: int, width: int) -> Map:
    """The largest value of each channel in the 3 by 3 cells around every second one."""
    rows = []
    for y in range(height):
        row = []
        for x in range(width):
            cell = None
            for near_y in range(2 * y - 1, 2 * y + 2):
                for near_x in range(2 * x - 1, 2 * x + 2):
                    if 0 <= near_y < len(level) and 0 <= near_x < len(level[0]):
                        other = level[near_y][near_x]
                        cell = other if cell is None else torch.maximum(cell, other)
            row.append(cell)
        rows.append(row)
    return rows


def convolve(level: Map, weight: Tensor, bias: Tensor) -> Map:
    """Zero-padded convolution, then SiLU; a weight for one input channel works on each channel alone."""
    reach = weight.shape[-1] // 2
    rows = []
    for y in range(len(level)):
        row = []
        for x in range(len(level[0])):
            cell = bias
            for dy in range(-reach, reach + 1):
                for dx in range(-reach, reach + 1):
                    if 0 <= y + dy < len(level) and 0 <= x + dx < len(level[0]):
                        tap, other = weight[:, :, dy + reach, dx + reach], level[y + dy][x + dx]
                        alone = weight.shape[1] == 1 and len(other) > 1
                        cell = cell + (tap[:, 0] * other if alone else tap @ other)
            row.append(cell / (1 + torch.exp(-cell)))
        rows.append(row)
    return rows


def fuse(maps: list[Map], weights: Tensor, convs: Convs) -> Map:
    """Weighted mean with weights of at least 0 and 0.0001 added to their sum, then the convolutions."""
    positive = [weight if weight > 0 else weight * 0 for weight in weights]
    fused = [
        [
            sum(share * level[y][x] for share, level in zip(positive, maps, strict=True)) / (0.0001 + sum(positive))
            for x in range(len(maps[0][0]))
        ]
        for y in range(len(maps[0]))
    ]
    for weight, bias in convs:
        fused = convolve(fused, weight, bias)
    return fused


def bifpn_layer(levels: list[Tensor], down: list[tuple[Tensor, Convs]], up: list[tuple[Tensor, Convs]]) -> list[Tensor]:
    """One fusion layer for one image.

    Args:
        levels: L maps (C, H_l, W_l), finest first.
        down: Fusion weights and convolutions of levels 0 to L-2, on the way down.
        up: The same of levels 1 to L-1, on the way up.
    """
    inputs = [to_map(level) for level in levels]
    shapes = [(len(level), len(level[0])) for level in inputs]
    last = len(inputs) - 1
    middle = {last: inputs[last]}
    for i in range(last - 1, -1, -1):
        middle[i] = fuse([inputs[i], resize(middle[i + 1], *shapes[i])], *down[i])
    outputs = [middle[0]]
    for i in range(1, last):
        outputs.append(fuse([inputs[i], middle[i], halve(outputs[i - 1], *shapes[i])], *up[i - 1]))
    outputs.append(fuse([inputs[last], halve(outputs[last - 1], *shapes[last])], *up[last - 1]))
    return [to_tensor(level) for level in outputs]
