"""Proposals that do not see each other."""

from mmengine.model import BaseModule
from torch import Tensor

from sparse_rcnn_ext.registry import MODELS


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
