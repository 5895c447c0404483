"""The stages in a row: each pools where the one before it placed its boxes."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from mmdet.registry import MODELS as MMDET_MODELS
from mmengine.model import BaseModule, ModuleList
from torch import Tensor

from sparse_rcnn_ext.registry import MODELS


class StageOutputs(NamedTuple):
    """What all stages say, first stage first."""

    logits: Tensor
    """(S, B, N, K)."""
    boxes: Tensor
    """(S, B, N, 4) xyxy pixels of the batched input."""


@MODELS.register_module()
class SparseRoIHead(BaseModule):
    """The cascade of Sparse R-CNN. Training and inference run this one loop.

    Args:
        num_stages: How many stages (S), each with weights of its own.
        roi_features: The RoI feature module.
        bbox_head: The template of one stage; it is built ``num_stages`` times.
    """

    def __init__(self, num_stages: int = 6, roi_features: dict | None = None, bbox_head: dict | None = None) -> None:
        super().__init__()
        self.num_stages = num_stages
        self.roi_features = MMDET_MODELS.build(roi_features or dict(type='sparse_rcnn_ext.RoIFeatures'))
        template = bbox_head or dict(type='sparse_rcnn_ext.DIIHead')
        self.bbox_head = ModuleList([MMDET_MODELS.build(template) for _ in range(num_stages)])

    def forward(self, pyramid: Sequence[Tensor], boxes: Tensor, proposal_feats: Tensor) -> StageOutputs:
        """Run all stages.

        Args:
            pyramid: Levels (B, C, H_l, W_l), finest first.
            boxes: (B, N, 4) xyxy pixels, the proposals.
            proposal_feats: (B, N, C).

        Returns:
            Logits and boxes of every stage.
        """
        table = self.roi_features.tabulate(pyramid)
        all_logits, all_boxes = [], []
        for stage in self.bbox_head:
            # A stage learns from its own loss only: no gradient flows through where the RoIs were.
            # The first stage's boxes are the learned proposals, which do learn.
            roi_feats = self.roi_features.pool(table, boxes.detach())  # (B·N, P, C)
            logits, boxes, proposal_feats = stage(roi_feats, proposal_feats, boxes)
            all_logits.append(logits)
            all_boxes.append(boxes)
            boxes = boxes.detach()
        return StageOutputs(torch.stack(all_logits), torch.stack(all_boxes))

    def scores(self, logits: Tensor) -> Tensor:
        """Logits of any stage to class scores (..., K) from 0 to 1, in at least float32."""
        return self.bbox_head[-1].scores(logits)
