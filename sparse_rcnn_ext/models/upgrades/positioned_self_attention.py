"""Self-attention that knows where each proposal is."""

import torch
from mmdet.structures.bbox import bbox_xyxy_to_cxcywh
from torch import Tensor, nn

from sparse_rcnn_ext.models.dii_head import ProposalSelfAttention
from sparse_rcnn_ext.registry import MODELS


@MODELS.register_module()
class PositionedSelfAttention(ProposalSelfAttention):
    """Self-attention whose queries and keys carry an encoding of the proposal's box.

    RecursiveDet (https://arxiv.org/abs/2307.13619), section 3.3: stages that share their parameters need to know which
    box they are at. Each of the box's four numbers becomes sines and cosines
    (https://arxiv.org/abs/1706.03762, section 3.5, with pixels as positions), which two layers mix.

    Args:
        in_channels: Channels of a proposal's feature (C).
        num_heads: Attention heads.
        dropout: Dropout of the attention weights.
        num_sines: Sines and cosines for each number, together.
        temperature: How much longer the longest wave is than the shortest, whose length is 2π pixels.
    """

    def __init__(
        self,
        in_channels: int,
        num_heads: int = 8,
        dropout: float = 0.0,
        num_sines: int = 128,
        temperature: float = 10000.0,
    ) -> None:
        super().__init__(in_channels, num_heads, dropout)
        self.num_sines = num_sines
        self.temperature = temperature
        self.position = nn.Sequential(
            nn.Linear(4 * num_sines, in_channels), nn.ReLU(inplace=True), nn.Linear(in_channels, in_channels)
        )

    def locate(self, feats: Tensor, boxes: Tensor) -> Tensor:
        """Features plus the encoding of the boxes, (B, N, C); no gradient reaches the boxes."""
        encoding = self.encode(boxes.detach()).to(self.position[0].weight.dtype)
        return feats + self.position(encoding).to(feats.dtype)

    def encode(self, boxes: Tensor) -> Tensor:
        """Sines and cosines of centre, width and height: (..., 4) xyxy pixels to (..., 4 · num_sines)."""
        # No buffer, which export would round to float16: at a thousand pixels that is far off.
        exponents = torch.arange(0, self.num_sines, 2, dtype=boxes.dtype, device=boxes.device) / self.num_sines
        angles = bbox_xyxy_to_cxcywh(boxes)[..., None] * self.temperature**-exponents
        return torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(-2)
