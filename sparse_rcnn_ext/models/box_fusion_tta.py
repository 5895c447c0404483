"""Test-time augmentation: one set of detections from those of several views of an image."""

from collections.abc import Sequence

import torch
from mmdet.models.test_time_augs import DetTTAModel
from mmdet.models.utils import weighted_boxes_fusion
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import bbox_flip
from mmengine.structures import InstanceData
from torch import Tensor, nn

from sparse_rcnn_ext.models.post_process import drop_low
from sparse_rcnn_ext.registry import MODELS


@MODELS.register_module()
class BoxFusionTTA(DetTTAModel):
    """Fuses views by weighted box fusion (https://arxiv.org/abs/1910.13302), with mmdet's function.

    Boxes of one class that overlap become their mean, weighted by score, and its score is their mean score times the
    share of the views that agree. mmdet's own ``DetTTAModel`` keeps the best of them instead (NMS): then a view at a
    scale that the model is bad at adds its wrong boxes, where here it is outvoted.

    Args:
        module: The detector, or its config. Its detections are in pixels of the original image.
        iou_threshold: Boxes of a class whose IoU with the fused box is greater are one object.
        min_score: Detections of a lower score are left out before fusion.
        max_per_img: Detections kept per image; None keeps as many as the detector keeps for one view.
        data_preprocessor: Replaces the detector's own where ``module`` is a config.
    """

    def __init__(
        self,
        module: dict | nn.Module,
        iou_threshold: float = 0.65,
        min_score: float = 0.01,
        max_per_img: int | None = None,
        data_preprocessor: dict | None = None,
    ) -> None:
        super().__init__(module=module, data_preprocessor=data_preprocessor)
        self.iou_threshold = iou_threshold
        self.min_score = min_score
        self.max_per_img = max_per_img

    def merge_preds(self, data_samples_list: Sequence[Sequence[DetDataSample]]) -> list[DetDataSample]:
        """The first view's data sample of each image, with the fused detections.

        Args:
            data_samples_list: For each image its views, with ``pred_instances`` in pixels of the original image (of
                its mirror image where the meta key ``flip`` says so), ``flip_direction`` and ``ori_shape``.
        """
        return [self._fuse(views) for views in data_samples_list]

    def _fuse(self, views: Sequence[DetDataSample]) -> DetDataSample:
        boxes, scores, labels = [], [], []
        for view in views:
            found = view.pred_instances
            corners = found.bboxes
            if view.flip:
                corners = bbox_flip(corners, view.ori_shape, view.flip_direction)
            # Nothing keeps a learned box from being inside out; fusion would turn it around.
            proper = (corners[:, 2:] > corners[:, :2]).all(dim=1)
            boxes.append(corners[proper].cpu().numpy())
            scores.append(found.scores[proper].cpu().numpy())
            labels.append(found.labels[proper].cpu().numpy())
        fused = weighted_boxes_fusion(
            boxes, scores, labels, iou_thr=self.iou_threshold, skip_box_thr=self.min_score, conf_type='avg'
        )
        result = views[0]
        limit = self.max_per_img
        if limit is None:
            # A view with a score_thr may have fewer.
            limit = getattr(self.module, 'max_per_img', max(len(view.pred_instances) for view in views))
        fused = drop_low(*fused, getattr(self.module, 'score_thr', 0))
        result.pred_instances = _pack(*fused, like=result.pred_instances.bboxes)[:limit]
        return result


def _pack(boxes: Tensor, scores: Tensor, labels: Tensor, like: Tensor) -> InstanceData:
    # Without any detection all three come as (0,).
    return InstanceData(
        bboxes=boxes.reshape(-1, 4).to(like), scores=scores.to(like), labels=labels.to(like.device, torch.long)
    )
