"""Where the learned proposals start."""

import torch
from torch import Tensor

from sparse_rcnn_ext.registry import TASK_UTILS


@TASK_UTILS.register_module()
class ImageBoxes:
    """Every proposal starts as the whole image, the default of Sparse R-CNN (https://arxiv.org/abs/2011.12450)."""

    def __call__(self, num_proposals: int) -> Tensor:
        """Boxes (num_proposals, 4), cxcywh relative to the image."""
        return torch.tensor([0.5, 0.5, 1.0, 1.0]).repeat(num_proposals, 1)


@TASK_UTILS.register_module()
class GridBoxes:
    """Proposals start as a grid of tiles that covers the image without overlap.

    The paper's table of initialisations has a grid too. Short training gains: each proposal begins with a place of its
    own instead of finding one.
    """

    def __call__(self, num_proposals: int) -> Tensor:
        """Boxes (num_proposals, 4), cxcywh relative to the image.

        The number of rows is about its square root; rows hold equally many tiles, or one more.
        """
        num_rows = max(round(num_proposals**0.5), 1)
        boxes = []
        for row in range(num_rows):
            columns = num_proposals * (row + 1) // num_rows - num_proposals * row // num_rows
            boxes += [
                [(column + 0.5) / columns, (row + 0.5) / num_rows, 1 / columns, 1 / num_rows]
                for column in range(columns)
            ]
        return torch.tensor(boxes)
