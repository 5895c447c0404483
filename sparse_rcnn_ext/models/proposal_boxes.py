"""Where the learned proposals start (https://arxiv.org/abs/2011.12450, section 4.2, proposal boxes initialization).

Each part is called with the number of proposals (N) and returns (N, 4) boxes, cxcywh relative to the image.
"""

from itertools import pairwise

import torch
from torch import Tensor

from sparse_rcnn_ext.registry import MODELS


@MODELS.register_module()
class ImageBoxes:
    """Every box is the whole image."""

    def __call__(self, num_proposals: int) -> Tensor:
        """See the module's text."""
        return torch.tensor([0.5, 0.5, 1.0, 1.0]).repeat(num_proposals, 1)


@MODELS.register_module()
class GridBoxes:
    """Boxes side by side in about as many rows as columns, that together cover the image.

    Where the number of proposals is no product of rows and columns, some rows have one box more than others.

    Args:
        overlap: Sides of a box in units of the grid's cell; from 1 on no gaps are left.
    """

    def __init__(self, overlap: float = 1.5) -> None:
        self.overlap = overlap

    def __call__(self, num_proposals: int) -> Tensor:
        """See the module's text."""
        num_rows = round(num_proposals**0.5)
        ends = [num_proposals * row // num_rows for row in range(num_rows + 1)]
        boxes = []
        for row, (start, end) in enumerate(pairwise(ends)):
            columns = end - start
            for column in range(columns):
                centre = ((column + 0.5) / columns, (row + 0.5) / num_rows)
                boxes.append((*centre, self.overlap / columns, self.overlap / num_rows))
        return torch.tensor(boxes)


@MODELS.register_module()
class CenterBoxes:
    """Every box is a small one in the middle of the image.

    Args:
        side: Width and height, relative to the image's.
    """

    def __init__(self, side: float = 0.1) -> None:
        self.side = side

    def __call__(self, num_proposals: int) -> Tensor:
        """See the module's text."""
        return torch.tensor([0.5, 0.5, self.side, self.side]).repeat(num_proposals, 1)


@MODELS.register_module()
class RandomBoxes:
    """Centres and sides are drawn from a normal distribution, and boxes moved into the image.

    The paper names the distribution, but not its parameters: these are ours. The seed is torch's.

    Args:
        mean: Mean of all four numbers.
        std: Standard deviation of all four.
        min_side: Shorter sides become this long.
    """

    def __init__(self, mean: float = 0.5, std: float = 0.2, min_side: float = 0.05) -> None:
        self.mean = mean
        self.std = std
        self.min_side = min_side

    def __call__(self, num_proposals: int) -> Tensor:
        """See the module's text."""
        centres, sides = torch.normal(self.mean, self.std, (num_proposals, 4)).split(2, dim=1)
        sides = sides.clamp(self.min_side, 1)
        return torch.cat([centres.maximum(sides / 2).minimum(1 - sides / 2), sides], dim=1)
