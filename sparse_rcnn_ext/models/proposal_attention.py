"""What the proposals of an image say to each other, before each reads its RoI."""

from mmengine.model import BaseModule
from torch import Tensor, nn

from sparse_rcnn_ext.registry import MODELS


@MODELS.register_module()
class ProposalSelfAttention(BaseModule):
    """Self-attention among the proposals of an image, with its residual.

    Args:
        in_channels: Channels of a proposal's feature (C).
        num_heads: Attention heads.
        dropout: Dropout of the attention weights.
    """

    def __init__(self, in_channels: int, num_heads: int = 8, dropout: float = 0.0) -> None:
        super().__init__()
        # The name `attn` is part of the weights: mmdet's checkpoints hold attention.attn.in_proj_weight.
        self.attn = nn.MultiheadAttention(in_channels, num_heads, dropout, batch_first=True)

    def forward(self, feats: Tensor, boxes: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Let the proposals of each image talk.

        Args:
            feats: (B, N, C).
            boxes: (B, N, 4) xyxy pixels, where the proposals are; this class does not look at them.
            hidden: (B, N, N), True where a proposal (row) must not see another (column); None: all see all.

        Returns:
            (B, N, C).
        """
        asking = self.locate(feats, boxes)
        if hidden is not None:
            hidden = hidden.repeat_interleave(self.attn.num_heads, dim=0)  # (B·heads, N, N)
        return feats + self.attn(asking, asking, feats, attn_mask=hidden, need_weights=False)[0]

    def locate(self, feats: Tensor, boxes: Tensor) -> Tensor:
        """What asks and is asked for, (B, N, C): the features alone."""
        return feats
