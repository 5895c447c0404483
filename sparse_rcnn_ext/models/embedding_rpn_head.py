"""The learned proposals: one box and one feature each, the same for every image, and where the boxes start.

What they start from (https://arxiv.org/abs/2011.12450, section 4.2, proposal boxes initialization) is called with the
number of proposals (N) and returns (N, 4) boxes, cxcywh relative to the image.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from mmdet.registry import MODELS as MMDET_MODELS
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy
from mmengine.model import BaseModule
from torch import Tensor, nn

from sparse_rcnn_ext.models.targets import Targets
from sparse_rcnn_ext.registry import MODELS


@MODELS.register_module()
class EmbeddingRPNHead(BaseModule):
    """Learnable proposal boxes and features in place of a region proposal network.

    Sparse R-CNN (https://arxiv.org/abs/2011.12450), section 3.2. Boxes are kept as cxcywh relative to the image.

    Args:
        num_proposals: How many proposals every image gets (N).
        proposal_feature_channel: Channels of a proposal's feature (C).
        proposal_boxes: Where the boxes start; None for :class:`ImageBoxes`, the whole image.
    """

    are_learned = True
    """The proposals are parameters, and proposal n is the same in every image."""

    def __init__(
        self, num_proposals: int = 100, proposal_feature_channel: int = 256, proposal_boxes: dict | None = None
    ) -> None:
        super().__init__()
        self.num_proposals = num_proposals
        self.proposal_boxes = MMDET_MODELS.build(proposal_boxes or dict(type='sparse_rcnn_ext.ImageBoxes'))
        self.init_proposal_bboxes = nn.Embedding(num_proposals, 4)
        self.init_proposal_features = nn.Embedding(num_proposals, proposal_feature_channel)

    def init_weights(self) -> None:
        """Put the boxes where they start; features keep the standard normal of ``nn.Embedding``."""
        super().init_weights()
        with torch.no_grad():
            self.init_proposal_bboxes.weight.copy_(self.proposal_boxes(self.num_proposals))

    def forward(self, image_whwh: Tensor, pyramid: Sequence[Tensor] = ()) -> tuple[Tensor, Tensor]:
        """Lay the proposals over each image.

        Args:
            image_whwh: (B, 4), width, height, width, height of each image in pixels, before batch padding.
            pyramid: Levels (B, C, H_l, W_l); these proposals do not depend on what is in the image.

        Returns:
            Boxes (B, N, 4) in xyxy pixels and features (B, N, C).
        """
        boxes = bbox_cxcywh_to_xyxy(self.init_proposal_bboxes.weight)  # (N, 4), relative
        boxes = boxes[None] * image_whwh[:, None]  # (B, N, 4)
        features = self.init_proposal_features.weight[None].expand(image_whwh.shape[0], -1, -1)  # (B, N, C)
        return boxes, features

    def propose_and_learn(
        self, image_whwh: Tensor, pyramid: Sequence[Tensor], targets: Targets
    ) -> tuple[tuple[Tensor, Tensor], dict[str, Tensor]]:
        """What :meth:`forward` gives, and losses of its own: none, for the stages' losses reach boxes and features."""
        return self(image_whwh, pyramid), {}


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
