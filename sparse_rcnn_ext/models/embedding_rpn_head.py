"""The learned proposals: one box and one feature each, the same for every image."""

from collections.abc import Sequence

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
