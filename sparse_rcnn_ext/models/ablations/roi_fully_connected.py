"""RoI features through fully connected layers, in place of dynamic convolution."""

from itertools import pairwise

from mmengine.model import BaseModule
from torch import Tensor, nn

from sparse_rcnn_ext.registry import MODELS


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
