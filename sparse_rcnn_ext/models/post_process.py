"""From the last stage's scores to detections; no NMS."""

from torch import Tensor


def top_detections(scores: Tensor, boxes: Tensor, max_per_img: int) -> tuple[Tensor, Tensor, Tensor]:
    """Keep the best (proposal, class) pairs of each image.

    A proposal may give several detections, one for each class.

    Args:
        scores: (B, N, K).
        boxes: (B, N, 4) in any format.
        max_per_img: Detections per image; at most N·K are there.

    Returns:
        Boxes (B, D, 4), scores (B, D) falling, labels (B, D).
    """
    num_classes = scores.shape[-1]
    pairs = scores.flatten(1)  # (B, N·K)
    best, index = pairs.topk(min(max_per_img, pairs.shape[1]), dim=1)  # (B, D)
    proposals = index // num_classes
    return boxes.gather(1, proposals[..., None].expand(-1, -1, 4)), best, index % num_classes


def drop_low(boxes: Tensor, scores: Tensor, labels: Tensor, score_thr: float) -> tuple[Tensor, Tensor, Tensor]:
    """The detections of one image (D, 4), (D,), (D,) whose score is at least ``score_thr``; 0: all, at no cost."""
    if not score_thr:
        return boxes, scores, labels
    kept = scores >= score_thr
    return boxes[kept], scores[kept], labels[kept]
