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

    def forward(self, feats: Tensor) -> Tensor:
        """(B, N, C) to (B, N, C)."""
        return feats + self.attn(feats, feats, feats, need_weights=False)[0]
