"""A cascade of boxes alone: no stage sees the object features of the one before."""

from torch import Tensor

from sparse_rcnn_ext.models.dii_head import DIIHead
from sparse_rcnn_ext.registry import MODELS


@MODELS.register_module()
class DIIHeadWithoutReuse(DIIHead):
    """A stage that hands on the features that it was given, so that every stage starts from the learned ones."""

    def forward(
        self, roi_feats: Tensor, proposal_feats: Tensor, boxes: Tensor, hidden: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See :class:`DIIHead`; the features returned are ``proposal_feats``."""
        logits, boxes, _ = super().forward(roi_feats, proposal_feats, boxes, hidden)
        return logits, boxes, proposal_feats
