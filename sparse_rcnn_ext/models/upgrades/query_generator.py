"""Proposals found in the image in place of learned ones."""

from collections.abc import Sequence

import torch
from mmdet.models.losses import FocalLoss, GIoULoss
from mmdet.utils import reduce_mean
from mmengine.model import BaseModule, bias_init_with_prob
from torch import Tensor, nn

from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.models.ciou_loss import FARTHEST
from sparse_rcnn_ext.models.targets import Targets
from sparse_rcnn_ext.registry import MODELS
from sparse_rcnn_ext.task_modules.location_matching import match_locations

_NOWHERE = -1e4  # a logit below all others, and within float16
_LEAST_PRIOR = -10.0


@MODELS.register_module()
class QueryGenerator(BaseModule):
    """Says at each location of the pyramid whether an object is there, its box and a feature; the best are proposals.

    Featurized Query R-CNN (https://arxiv.org/abs/2206.06258), section 3.2. It learns one to one, by a Hungarian
    matching of locations and ground truth on p^0.2 · IoU^0.8 among the locations inside of a box, so the best locations
    are distinct objects without NMS. It takes the place of ``EmbeddingRPNHead``.

    Unlike the paper's, it has one convolution that all three outputs share, leaves the finest level out, which has
    three quarters of all locations, and normalises each location for itself. And the stages' scores start from its
    objectness: neighbours on one object look alike to the stages, which take long to learn to keep only one of them. So
    the stages' class losses reach the objectness too.

    Args:
        num_proposals: How many locations become proposals (N).
        proposal_feature_channel: Channels of the pyramid and of a proposal's feature (C).
        featmap_strides: Stride of each pyramid level, finest first.
        first_level: The finest level that is looked at.
        box_scale: Side of the box that training starts from, in strides of its level.
        loss_cls_weight: Weight of the focal loss of objectness.
        loss_iou_weight: Weight of the GIoU loss of matched boxes.
        prior_prob: Objectness of every location at the start of training.
    """

    are_learned = False
    """The proposals are found in each image."""

    def __init__(
        self,
        num_proposals: int = 100,
        proposal_feature_channel: int = 256,
        featmap_strides: Sequence[int] = (4, 8, 16, 32),
        first_level: int = 1,
        box_scale: float = 8.0,
        loss_cls_weight: float = 1.0,
        loss_iou_weight: float = 2.0,
        prior_prob: float = 0.01,
    ) -> None:
        super().__init__()
        self.num_proposals = num_proposals
        self.proposal_feature_channel = channels = proposal_feature_channel
        self.featmap_strides = tuple(featmap_strides)
        self.first_level = first_level
        self.box_scale = box_scale
        self.prior_prob = prior_prob
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = nn.Sequential(nn.LayerNorm(channels), nn.ReLU(inplace=True))
        self.objectness = nn.Linear(channels, 1)
        self.box = nn.Linear(channels, 4)
        self.feature = nn.Sequential(nn.Linear(channels, channels), nn.LayerNorm(channels))
        self.loss_cls = FocalLoss(loss_weight=loss_cls_weight)
        self.loss_iou = GIoULoss(loss_weight=loss_iou_weight)

    def init_weights(self) -> None:
        """Xavier for every weight, small ones for the boxes, the focal prior for the objectness."""
        super().init_weights()
        for layer in (self.conv, self.objectness, self.box, self.feature[0]):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        nn.init.normal_(self.box.weight, std=0.01)
        nn.init.constant_(self.objectness.bias, bias_init_with_prob(self.prior_prob))

    def forward(self, image_whwh: Tensor, pyramid: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Find proposals.

        Args:
            image_whwh: (B, 4) width, height, width, height of each image in pixels, before batch padding.
            pyramid: Levels (B, C, H_l, W_l), finest first.

        Returns:
            Boxes (B, N, 4) in xyxy pixels; features (B, N, C); and the prior (B, N, 1) of :class:`SparseRoIHead`: how
            far the logit of a proposal's objectness is above that of ``prior_prob``. The boxes have no gradient.

        Raises:
            UserError: If the number of levels is not that of the strides.
        """
        hidden, logits, boxes, _ = self._look(image_whwh, pyramid)
        return self._pick(hidden, logits, boxes)

    def propose_and_learn(
        self, image_whwh: Tensor, pyramid: Sequence[Tensor], targets: Targets
    ) -> tuple[tuple[Tensor, Tensor, Tensor], dict[str, Tensor]]:
        """What :meth:`forward` gives, and the losses ``rpn.loss_cls`` and ``rpn.loss_iou``."""
        hidden, logits, boxes, cells = self._look(image_whwh, pyramid)
        with torch.autocast(logits.device.type, enabled=False):
            losses = self._losses(logits, boxes, cells, targets)
        return self._pick(hidden, logits, boxes), losses

    def _look(self, image_whwh: Tensor, pyramid: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Of all L locations: hidden features (B, L, C), logits (B, L), boxes (B, L, 4) xyxy pixels, cells (L, 3).

        Logits and boxes are in at least float32. A cell is the x and y of its centre and its stride, in pixels.
        """
        if len(pyramid) != len(self.featmap_strides):
            raise UserError(
                f'QueryGenerator got {len(pyramid)} pyramid levels for {len(self.featmap_strides)} featmap_strides: '
                'set model.neck.num_outs and model.rpn_head.featmap_strides alike'
            )
        levels = pyramid[self.first_level :]
        maps = [self.conv(level.to(self.conv.weight.dtype)) for level in levels]
        hidden = self.norm(torch.cat([level.flatten(2).transpose(1, 2) for level in maps], dim=1))  # (B, L, C)
        cells = torch.cat(
            [lay_cells(level, stride) for level, stride in zip(levels, self.featmap_strides[self.first_level :])]
        ).to(image_whwh)

        logits = self.objectness(hidden)[..., 0].to(image_whwh.dtype)
        # A cell that is image in part counts, or else small objects at the border would have no location.
        is_padding = (cells[:, :2] - cells[:, 2:] / 2 >= image_whwh[:, None, :2]).any(-1)  # (B, L)
        logits = logits.masked_fill(is_padding, _NOWHERE)

        centres, strides = cells[:, :2], cells[:, 2:]
        reach = self.box(hidden).to(image_whwh.dtype).clamp(-5, 5).exp() * strides * (self.box_scale / 2)
        boxes = torch.cat([centres - reach[..., :2], centres + reach[..., 2:]], dim=-1)
        return hidden, logits, boxes, cells

    def _pick(self, hidden: Tensor, logits: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The best locations of each image; where there are fewer than N, the last one again, as sure not to be it."""
        boxes = boxes.detach()
        logits = torch.cat([logits, logits.new_full((logits.shape[0], self.num_proposals), 2 * _NOWHERE)], dim=1)
        logits, best = logits.topk(self.num_proposals, dim=1)  # (B, N)
        best = best.clamp(max=hidden.shape[1] - 1)[..., None]
        boxes = boxes.gather(1, best.expand(-1, -1, 4))
        hidden = hidden.gather(1, best.expand(-1, -1, hidden.shape[2]))
        prior = (logits - bias_init_with_prob(self.prior_prob)).clamp(min=_LEAST_PRIOR)[..., None]
        return boxes, self.feature(hidden), prior

    def _losses(self, logits: Tensor, boxes: Tensor, cells: Tensor, targets: Targets) -> dict[str, Tensor]:
        near = boxes.clamp(-FARTHEST, FARTHEST)
        image, location, target = match_locations(logits.detach(), near.detach(), cells, targets)  # (M,) each
        normaliser = reduce_mean(logits.new_full((), len(image))).clamp(min=1)
        truth = torch.zeros_like(logits)  # (B, L)
        truth[image, location] = 1
        loss_cls = self.loss_cls(logits.flatten()[:, None], truth.flatten()[:, None], reduction_override='none')
        # Batch padding is no background to learn from.
        loss_cls = loss_cls.view_as(logits).masked_fill(logits == _NOWHERE, 0.0).sum()
        loss_iou = self.loss_iou(
            near[image, location], targets.boxes[image, target].to(boxes), reduction_override='sum'
        )
        # NaN where any box is not finite, and a gradient to the boxes where there is no ground truth.
        return {'rpn.loss_cls': loss_cls / normaliser, 'rpn.loss_iou': loss_iou / normaliser + (boxes * 0).sum()}


def lay_cells(level: Tensor, stride: int) -> Tensor:
    """Centre x, centre y and stride of each cell of a level (B, C, H, W), row by row, in pixels: (H·W, 3)."""
    height, width = level.shape[-2:]
    y = (torch.arange(height, device=level.device, dtype=torch.float32) + 0.5) * stride
    x = (torch.arange(width, device=level.device, dtype=torch.float32) + 0.5) * stride
    rows, columns = torch.meshgrid(y, x, indexing='ij')
    return torch.stack([columns.flatten(), rows.flatten(), torch.full_like(rows.flatten(), stride)], dim=-1)
