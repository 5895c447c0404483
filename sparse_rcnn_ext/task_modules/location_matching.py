"""One-to-one matching of the locations of a pyramid and ground truth."""

import numpy as np
import torch
from mmdet.structures.bbox import bbox_overlaps
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from sparse_rcnn_ext.models.targets import Targets

ALPHA = 0.8
"""Share of the IoU in a location's quality."""


@torch.no_grad()
def match_locations(logits: Tensor, boxes: Tensor, cells: Tensor, targets: Targets) -> tuple[Tensor, Tensor, Tensor]:
    """The matching with the greatest sum of qualities (p^0.2 · IoU^0.8) among the locations inside of a ground truth.

    Quality and prior of DeFCN (https://arxiv.org/abs/2012.03544, equation 4). A ground truth that is smaller than a
    cell counts as large as that cell, so that none is without a location.

    With G ground truths a best matching needs no more than the G best locations of each, for others can take at most
    G − 1 of them away; so only those go to the host, not all of them.

    Args:
        logits: (B, L) objectness.
        boxes: (B, L, 4) xyxy pixels.
        cells: (L, 3) centre x, centre y and stride of each location, in pixels.
        targets: Ground truth of the batch.

    Returns:
        (M,) image, location and target of each pair.
    """
    count = targets.boxes.shape[1]
    if count == 0:
        empty = torch.zeros(0, dtype=torch.long, device=logits.device)
        return empty, empty, empty
    quality = location_quality(logits, boxes, cells, targets.boxes.to(boxes))  # (B, L, G)
    best = quality.nan_to_num(0.0).topk(min(count, quality.shape[1]), dim=1)
    values, locations = (part.transpose(1, 2).cpu().numpy() for part in best)  # (B, G, G) each
    images = [np.empty((3, 0), dtype=np.int64)]
    for image, number in enumerate(targets.counts):
        found = locations[image, :number]  # (g, G)
        candidates, place = np.unique(found, return_inverse=True)
        matrix = np.full((number, len(candidates)), -1.0)
        np.put_along_axis(matrix, place.reshape(found.shape), values[image, :number], axis=1)
        target, chosen = linear_sum_assignment(matrix, maximize=True)
        images.append(np.stack([np.full_like(target, image), candidates[chosen], target]))
    pairs = torch.from_numpy(np.concatenate(images, axis=1)).to(logits.device, non_blocking=True)
    return tuple(pairs)


def location_quality(logits: Tensor, boxes: Tensor, cells: Tensor, target_boxes: Tensor) -> Tensor:
    """p^(1 − α) · IoU^α, and G + 1 more inside of the ground truth: (B, L, G).

    So as many ground truths as possible get a location inside, whatever that costs the others, and where more ground
    truths than locations share a place, one outside is still found.
    """
    iou = bbox_overlaps(boxes, target_boxes)  # (B, L, G)
    quality = logits.sigmoid()[..., None] ** (1 - ALPHA) * iou**ALPHA
    centres, strides = cells[:, None, :2], cells[:, None, 2:]  # (L, 1, ·)
    middle = (target_boxes[:, None, :, :2] + target_boxes[:, None, :, 2:]) / 2  # (B, 1, G, 2)
    half = (target_boxes[:, None, :, 2:] - target_boxes[:, None, :, :2]) / 2
    inside = ((centres - middle).abs() <= torch.maximum(half, strides / 2)).all(-1)  # (B, L, G)
    return quality + (target_boxes.shape[1] + 1) * inside
