"""The stages in a row: each pools where the one before it placed its boxes."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from mmengine.model import BaseModule, ModuleList
from torch import Tensor
from torch.nn import Module
from torch.utils.checkpoint import checkpoint

from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.registry import MODELS

from .parts import build_own


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
        with_cp: Keep no activations of the stages for the backward pass, which then computes each stage again: less
            memory, more time, the same gradients.

    Raises:
        UserError: If ``bbox_head`` is a list, as in mmdet, or a part is mmdet's.
    """

    # What mmdet asks of a RoI head to tell what its detector has.
    with_bbox, with_mask, with_shared_head = True, False, False

    def __init__(
        self,
        num_stages: int = 6,
        roi_features: dict | None = None,
        bbox_head: dict | None = None,
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        self.num_stages = num_stages
        self.with_cp = with_cp
        features = roi_features or dict(type='sparse_rcnn_ext.RoIFeatures')
        self.roi_features = build_own(features, 'model.roi_head.roi_features', 'RoIFeatures')
        template = bbox_head or dict(type='sparse_rcnn_ext.DIIHead')
        if isinstance(template, (list, tuple)):
            raise UserError(
                f'model.roi_head.bbox_head is a list of {len(template)}: set it to one dict, the template of all '
                'stages, and num_stages to their number'
            )
        stages = [build_own(template, 'model.roi_head.bbox_head', 'DIIHead') for _ in range(num_stages)]
        self.bbox_head = ModuleList(stages)

    def forward(self, *inputs: Tensor | Sequence[Tensor] | None, **options: int | Tensor | None) -> StageOutputs:
        """Logits and boxes of every stage that runs; arguments as of :meth:`stages`."""
        all_logits, all_boxes = zip(*self.stages(*inputs, **options), strict=True)
        return StageOutputs(torch.stack(all_logits), torch.stack(all_boxes))

    def stages(
        self,
        pyramid: Sequence[Tensor],
        boxes: Tensor,
        proposal_feats: Tensor,
        prior: Tensor | None = None,
        *,
        num_stages: int | None = None,
        hidden: Tensor | None = None,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Run one stage after the other.

        Args:
            pyramid: Levels (B, C, H_l, W_l), finest first.
            boxes: (B, N, 4) xyxy pixels, the proposals.
            proposal_feats: (B, N, C).
            prior: (B, N, 1), added to the logits of every class and stage: what is known of a proposal before; None:
                nothing.
            num_stages: Stop after so many; None: run all.
            hidden: (B, N, N), True where a proposal (row) must not see another (column); None: all see all.

        Yields:
            Logits (B, N, K) and boxes (B, N, 4) xyxy pixels of each.
        """
        table = self.roi_features.tabulate(pyramid)
        for stage in list(self.bbox_head)[:num_stages]:
            # A stage learns from its own loss only: no gradient flows through where the RoIs were.
            # The first stage's boxes are the learned proposals, which do learn.
            roi_feats = self.roi_features.pool(table, boxes.detach())  # (B·N, P, C)
            logits, boxes, proposal_feats = self._run(stage, roi_feats, proposal_feats, boxes, hidden)
            yield logits if prior is None else logits + prior, boxes
            boxes = boxes.detach()

    def _run(self, stage: Module, *inputs: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        if self.with_cp and torch.is_grad_enabled():
            return checkpoint(stage, *inputs, use_reentrant=False)
        return stage(*inputs)

    @property
    def one_label(self) -> bool:
        """Whether a proposal gives one detection, of its best class."""
        return self.bbox_head[-1].one_label

    def scores(self, logits: Tensor) -> Tensor:
        """Logits of any stage to class scores (..., K) from 0 to 1, in at least float32."""
        return self.bbox_head[-1].scores(logits)
