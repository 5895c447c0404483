"""Matching and losses of all stages at once."""

from collections.abc import Sequence

import torch
from mmdet.registry import TASK_UTILS as MMDET_TASK_UTILS
from mmdet.structures.bbox import bbox_overlaps
from mmdet.utils import reduce_mean
from mmengine.model import BaseModule
from torch import Tensor
from torch.nn import Module

from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.models.sparse_roi_head import StageOutputs
from sparse_rcnn_ext.models.targets import MatchedPairs, Targets
from sparse_rcnn_ext.models.usable_losses import build_box_loss, build_class_loss, build_iou_loss, wants_iou
from sparse_rcnn_ext.registry import MODELS

from .ciou_loss import FARTHEST
from .parts import build_own

# A matched box that misses its ground truth still counts as matched.
LEAST_IOU = 1e-6


@MODELS.register_module()
class SparseRCNNCriterion(BaseModule):
    """Set prediction loss of Sparse R-CNN (https://arxiv.org/abs/2011.12450, section 3.3), applied to every stage.

    Losses are sums over the batch, divided by the number of matched boxes averaged over processes, at least 1. They are
    finite as long as logits and boxes are, and a stage with one that is not has a loss that is not, matched or not.

    Args:
        assigner: Matches proposals and ground truth.
        loss_cls: Loss of the classes over all proposals; focal loss of mmdet, or one whose ``target_is_iou`` is true
            and which gets the IoU of each matched box in place of 1. Its ``class_weight``, a number for each class,
            weighs all that is said of a class, matched or not, where the loss takes none itself.
        loss_bbox: L1 loss of matched boxes in units of the image's width and height; of mmdet.
        loss_iou: IoU loss of matched boxes in pixels; of mmdet.
        stage_loss_weights: Weight of each stage; None weighs all alike.

    Raises:
        UserError: If a loss cannot work, see :mod:`sparse_rcnn_ext.models.usable_losses`.
    """

    one_label = False
    """Whether the logits' last entry is "no object", as a head's whose ``one_label`` is true."""

    def __init__(
        self,
        assigner: dict,
        loss_cls: dict,
        loss_bbox: dict,
        loss_iou: dict,
        stage_loss_weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.assigner = build_own(assigner, 'model.criterion.assigner', 'HungarianAssigner', MMDET_TASK_UTILS)
        self.loss_cls, class_weight = self.build_class_loss(loss_cls)
        weight = None if class_weight is None else torch.tensor(class_weight)  # (K,)
        self.register_buffer('class_weight', weight, persistent=False)
        self.loss_bbox = build_box_loss(loss_bbox)
        self.loss_iou = build_iou_loss(loss_iou)
        self.stage_loss_weights = stage_loss_weights

    @staticmethod
    def build_class_loss(settings: dict) -> tuple[Module, list[float] | None]:
        """``loss_cls``, and the weights of the classes that it does not apply itself."""
        return build_class_loss(settings)

    def forward(self, outputs: StageOutputs, targets: Targets) -> dict[str, Tensor]:
        """Losses by stage and kind.

        Args:
            outputs: Logits and boxes of S stages.
            targets: Ground truth of the batch.

        Returns:
            For each stage t: ``st.loss_cls``, ``st.loss_bbox``, ``st.loss_iou`` and ``st.pos_acc``, the percentage of
            matched proposals whose best class is right.

        Raises:
            UserError: If ``stage_loss_weights`` are not as many as the stages.
        """
        outputs = in_full_precision(outputs)
        with torch.autocast(outputs.logits.device.type, enabled=False):
            pairs = self.assigner.assign(outputs.logits.detach(), outputs.boxes.detach(), targets)
        return self.pair_losses(outputs, pairs, targets)

    def pair_losses(self, outputs: StageOutputs, pairs: MatchedPairs, targets: Targets) -> dict[str, Tensor]:
        """The losses where it is known which proposal has which ground truth; see :meth:`forward`."""
        outputs = in_full_precision(outputs)
        with torch.autocast(outputs.logits.device.type, enabled=False):
            terms = self._terms(*outputs, pairs, targets)
        num_stages = len(outputs.logits)
        weights = self.stage_weights(num_stages)
        return {
            f's{stage}.{name}': value * weights[stage] if 'loss' in name else value
            for stage in range(num_stages)
            for name, value in zip(terms, (term[stage] for term in terms.values()), strict=True)
        }

    def stage_weights(self, num_stages: int) -> Sequence[float]:
        """How much the losses of each stage count; raises UserError if as many are not set."""
        weights = [1.0] * num_stages if self.stage_loss_weights is None else self.stage_loss_weights
        if len(weights) != num_stages:
            raise UserError(
                f'model.criterion.stage_loss_weights has {len(weights)} weights for {num_stages} stages: '
                'give one for each, or None to weigh all alike'
            )
        return weights

    def class_loss(self, logits: Tensor, one_hot: Tensor, normaliser: Tensor) -> Tensor:
        """Loss of each stage (S,), from (S, B, N, K) logits and truth; no class is a row of zeros.

        ``normaliser`` is one number, or one for each stage.
        """
        # One-hot, because mmdet's FocalLoss takes its portable path for targets of the logits' shape.
        losses = self.loss_cls(logits.flatten(0, 2), one_hot.flatten(0, 2), reduction_override='none')
        if self.class_weight is not None:
            losses = losses * self.class_weight.to(losses)
        return losses.view(len(logits), -1).sum(1) / normaliser

    def _terms(self, logits: Tensor, boxes: Tensor, pairs: MatchedPairs, targets: Targets) -> dict[str, Tensor]:
        """Every loss as (S,)."""
        num_stages = len(logits)
        image, proposal, target, weight = pairs  # (S, M) each
        stage = torch.arange(num_stages, device=logits.device)[:, None].expand_as(image)
        labels = targets.labels[image, target]  # (S, M)
        num_matched = image.shape[1]
        counts = logits.new_full((), num_matched) if weight is None else weight.sum(1)  # () or (S,)
        normaliser = reduce_mean(counts).clamp(min=1)

        matched_logits = logits[stage, image, proposal]  # (S, M, K)
        matched_boxes = boxes[stage, image, proposal]  # (S, M, 4)
        target_boxes = targets.boxes[image, target].to(boxes)  # (S, M, 4)
        near_boxes = matched_boxes.clamp(-FARTHEST, FARTHEST)  # NaN stays NaN.

        one_hot = torch.zeros_like(logits)  # (S, B, N, K)
        one_hot[stage, image, proposal, labels] = self._truth(near_boxes.detach(), target_boxes)
        terms = dict(loss_cls=self.class_loss(logits, one_hot, normaliser))

        # NaN where any box is not finite. And with nothing matched, every parameter keeps a gradient, which
        # distributed training waits for.
        no_loss = (boxes * 0).sum((1, 2, 3))
        if num_matched == 0:
            return dict(**terms, pos_acc=no_loss.detach(), loss_bbox=no_loss, loss_iou=no_loss)
        right = (matched_logits.argmax(-1) == labels).to(logits.dtype)
        terms['pos_acc'] = add_up(right, weight) / counts.clamp(min=1) * 100

        scale = targets.image_whwh[image]  # (S, M, 4)
        loss_bbox = self.loss_bbox(matched_boxes / scale, target_boxes / scale, reduction_override='none')
        terms['loss_bbox'] = add_up(loss_bbox.sum(2), weight) / normaliser + no_loss
        loss_iou = self.loss_iou(near_boxes.flatten(0, 1), target_boxes.flatten(0, 1), reduction_override='none')
        # Some give a number for each of a box's sides.
        loss_iou = loss_iou.view(num_stages, num_matched, -1).sum(2)
        terms['loss_iou'] = add_up(loss_iou, weight) / normaliser
        return terms

    def _truth(self, boxes: Tensor, target_boxes: Tensor) -> Tensor:
        """What the class loss wants of matched proposals: 1, or their IoU; (S, M, 4) xyxy to () or (S, M)."""
        if not wants_iou(self.loss_cls):
            return boxes.new_ones(())
        return bbox_overlaps(boxes, target_boxes, is_aligned=True).clamp(min=LEAST_IOU)


def in_full_precision(outputs: StageOutputs) -> StageOutputs:
    """In at least float32."""
    dtype = torch.promote_types(outputs.logits.dtype, torch.float32)
    return StageOutputs(outputs.logits.to(dtype), outputs.boxes.to(dtype))


def add_up(values: Tensor, weight: Tensor | None) -> Tensor:
    """The sum of each stage's pairs, (S, M) to (S,)."""
    return (values if weight is None else values * weight).sum(1)
