"""From the last stage's scores to detections; no NMS."""

from mmengine.structures import InstanceData
from torch import Tensor


def top_detections(
    scores: Tensor, boxes: Tensor, max_per_img: int, one_label: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """Keep the best (proposal, class) pairs of each image.

    A proposal may give several detections, one for each class, unless ``one_label``.

    Args:
        scores: (B, N, K).
        boxes: (B, N, 4) in any format.
        max_per_img: Detections per image; at most N·K are there, and N with ``one_label``.
        one_label: Each proposal gives its best class only.

    Returns:
        Boxes (B, D, 4), scores (B, D) falling, labels (B, D).
    """
    if one_label:
        scores, labels = scores.max(dim=-1)  # (B, N)
        best, proposals = scores.topk(min(max_per_img, scores.shape[1]), dim=1)  # (B, D)
        return _rows(boxes, proposals), best, labels.gather(1, proposals)
    num_classes = scores.shape[-1]
    pairs = scores.flatten(1)  # (B, N·K)
    best, index = pairs.topk(min(max_per_img, pairs.shape[1]), dim=1)  # (B, D)
    # long() for coremltools, whose quotients of whole numbers are none.
    return _rows(boxes, (index // num_classes).long()), best, index % num_classes


def inside_image(found: InstanceData, height: int, width: int) -> InstanceData:
    """Clip boxes to their image, and drop those that have no area then, as the official code does.

    Args:
        found: ``bboxes`` (D, 4) xyxy pixels, and whatever else there is of each; left as it is.
        height, width: Of the image in pixels.
    """
    boxes = found.bboxes.clamp(min=0).minimum(found.bboxes.new_tensor([width, height, width, height]))
    kept = (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
    found = found[kept]
    found.bboxes = boxes[kept]
    return found


def _rows(boxes: Tensor, proposals: Tensor) -> Tensor:
    """Of (B, N, 4) those with the indices (B, D)."""
    return boxes.gather(1, proposals[..., None].expand(-1, -1, 4))


def drop_low(boxes: Tensor, scores: Tensor, labels: Tensor, score_thr: float) -> tuple[Tensor, Tensor, Tensor]:
    """The detections of one image (D, 4), (D,), (D,) whose score is at least ``score_thr``; 0: all, at no cost."""
    if not score_thr:
        return boxes, scores, labels
    kept = scores >= score_thr
    return boxes[kept], scores[kept], labels[kept]
