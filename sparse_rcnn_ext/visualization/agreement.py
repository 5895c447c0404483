"""Which detections have an object, and which objects a detection."""

import torch
from mmdet.structures.bbox import bbox_overlaps
from mmengine.structures import InstanceData
from torch import Tensor


def agree(detections: InstanceData, truth: InstanceData, min_iou: float = 0.5) -> tuple[Tensor, Tensor]:
    """Pair detections with objects of their class, the most confident first, each object once.

    This is COCO's rule at one IoU threshold: any number of detections may lie in a crowd of their class.

    Args:
        detections: ``bboxes`` (D, 4) xyxy, ``scores`` (D,) falling, ``labels`` (D,).
        truth: ``bboxes`` (G, 4) xyxy, ``labels`` (G,), ``crowds`` (G,) bool.
        min_iou: The least IoU of a pair; for a crowd, the least share of the detection that lies in it.

    Returns:
        Which detections are no mistake (D,), and which objects were found (G,); crowds never count as found.
    """
    boxes, same_class = detections.bboxes.cpu(), detections.labels.cpu()[:, None] == truth.labels  # (D, G)
    overlaps = bbox_overlaps(boxes, truth.bboxes) * (same_class & ~truth.crowds)
    in_crowd = bbox_overlaps(boxes, truth.bboxes, mode='iof') * (same_class & truth.crowds)
    partners = pair(overlaps, min_iou)
    found = torch.zeros(len(truth), dtype=torch.bool)
    found[partners[partners >= 0]] = True
    return (partners >= 0) | (in_crowd >= min_iou).any(dim=1), found


def pair(overlaps: Tensor, min_iou: float) -> Tensor:
    """Give each detection in turn the object that it overlaps most, of those that are left.

    Args:
        overlaps: (D, G), the most confident detection first.
        min_iou: The least overlap of a pair, above 0.

    Returns:
        (D,), the object of each; -1: none.
    """
    partners = torch.full((len(overlaps),), -1)
    left = overlaps.clone()
    for index, row in enumerate(left if overlaps.shape[1] else ()):
        best = row.argmax()
        if row[best] >= min_iou:
            partners[index] = best
            left[:, best] = 0
    return partners
