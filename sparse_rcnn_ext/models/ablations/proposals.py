"""Proposals that start, talk or read their region otherwise than in the paper's best model."""

from collections.abc import Sequence
from itertools import pairwise

from mmdet.models.layers import MLP
from mmengine.model import BaseModule
from torch import Tensor, nn

from sparse_rcnn_ext.models.dii_head import DIIHead
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


@MODELS.register_module()
class NoSelfAttention(BaseModule):
    """In place of self-attention: (B, N, C) stay as they are.

    Args:
        in_channels, num_heads, dropout: Those of :class:`ProposalSelfAttention`; not used.
    """

    def __init__(self, in_channels: int, num_heads: int = 8, dropout: float = 0.0) -> None:
        super().__init__()

    def forward(self, feats: Tensor, boxes: Tensor, hidden: Tensor | None = None) -> Tensor:
        """``feats``, whatever the rest is."""
        return feats


@MODELS.register_module()
class RoIAttention(BaseModule):
    """Each proposal asks the positions of its own RoI (https://arxiv.org/abs/1706.03762, section 3.2.2).

    Args:
        in_channels: Channels of the proposal and of the RoI features (C), a multiple of ``num_heads``.
        num_heads: Attention heads.
    """

    def __init__(self, in_channels: int = 256, num_heads: int = 8) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(in_channels, num_heads, batch_first=True)

    def forward(self, proposal_feats: Tensor, roi_feats: Tensor) -> Tensor:
        """Average each RoI's positions as its proposal weighs them.

        Args:
            proposal_feats: (M, C), one per RoI.
            roi_feats: (M, P, C), P grid positions.

        Returns:
            (M, C).
        """
        return self.attn(proposal_feats[:, None], roi_feats, roi_feats, need_weights=False)[0][:, 0]


@MODELS.register_module()
class RoIFullyConnected(BaseModule):
    """Fully connected layers that read every RoI alike, as in Faster R-CNN (https://arxiv.org/abs/1506.01497).

    The proposal's feature has no say in how its RoI is read. The stage adds the two, where the paper concatenates them.

    Args:
        in_channels: Channels of the RoI features (C); the output has as many.
        input_feat_shape: Side of the RoI grid (7 gives 49 positions).
        num_fcs: Layers, each with a norm and a ReLU.
    """

    def __init__(self, in_channels: int = 256, input_feat_shape: int = 7, num_fcs: int = 2) -> None:
        super().__init__()
        widths = [in_channels * input_feat_shape**2] + [in_channels] * num_fcs
        layers = [
            layer
            for width, next_width in pairwise(widths)
            for layer in (nn.Linear(width, next_width), nn.LayerNorm(next_width), nn.ReLU(inplace=True))
        ]
        self.fcs = nn.Sequential(*layers)

    def forward(self, proposal_feats: Tensor, roi_feats: Tensor) -> Tensor:
        """Read the RoIs.

        Args:
            proposal_feats: (M, C), left unread.
            roi_feats: (M, P, C), P grid positions.

        Returns:
            (M, C).
        """
        return self.fcs(roi_feats.flatten(1))


@MODELS.register_module()
class DIIHeadWithoutReuse(DIIHead):
    """A stage that hands on the features that it was given, so that every stage starts from the learned ones."""

    def forward(
        self, roi_feats: Tensor, proposal_feats: Tensor, boxes: Tensor, hidden: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See :class:`DIIHead`; the features returned are ``proposal_feats``."""
        logits, boxes, _ = super().forward(roi_feats, proposal_feats, boxes, hidden)
        return logits, boxes, proposal_feats
