"""Where the learned proposals start (https://arxiv.org/abs/2011.12450, section 4.2, proposal boxes initialization).

Each part is called with the number of proposals (N) and returns (N, 4) boxes, cxcywh relative to the image.
"""

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
        for row, (start, end) in enumerate(zip(ends, ends[1:])):
            columns = end - start
            for column in range(columns):
                centre = ((column + 0.5) / columns, (row + 0.5) / num_rows)
                boxes.append((*centre, self.overlap / columns, self.overlap / num_rows))
        return torch.tensor(boxes)
