"""Multi-head attention of a proposal over its RoI, in place of dynamic convolution."""

from mmengine.model import BaseModule
from torch import Tensor, nn

from sparse_rcnn_ext.registry import MODELS


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
