"""Proposal features that know where their box is."""

from collections.abc import Sequence

from mmdet.models.layers import MLP
from torch import Tensor

from sparse_rcnn_ext.models.embedding_rpn_head import EmbeddingRPNHead
from sparse_rcnn_ext.registry import MODELS


@MODELS.register_module()
class PositionedRPNHead(EmbeddingRPNHead):
    """The learned proposals with a learned encoding of each one's box added to its feature.

    A free vector for each proposal would add nothing to features that are free themselves, so the encoding is a
    function of the box: two layers from its cxcywh, shared by all proposals.

    Args:
        num_proposals: How many proposals every image gets (N).
        proposal_feature_channel: Channels of a proposal's feature (C).
        proposal_boxes: Where the boxes start; see :class:`EmbeddingRPNHead`.
    """

    def __init__(
        self, num_proposals: int = 100, proposal_feature_channel: int = 256, proposal_boxes: dict | None = None
    ) -> None:
        super().__init__(num_proposals, proposal_feature_channel, proposal_boxes)
        self.position_encoding = MLP(4, proposal_feature_channel, proposal_feature_channel, num_layers=2)

    def forward(self, image_whwh: Tensor, pyramid: Sequence[Tensor] = ()) -> tuple[Tensor, Tensor]:
        """See :class:`EmbeddingRPNHead`."""
        boxes, features = super().forward(image_whwh, pyramid)
        return boxes, features + self.position_encoding(self.init_proposal_bboxes.weight)
