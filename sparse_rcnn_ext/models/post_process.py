"""From the last stage's logits to detections; no NMS."""

import torch
from torch import Tensor


def top_detections(logits: Tensor, boxes: Tensor, max_per_img: int) -> tuple[Tensor, Tensor, Tensor]:
    """Keep the best (proposal, class) pairs of each image.

    A proposal may give several detections, one for each class.

    Args:
        logits: (B, N, K).
        boxes: (B, N, 4) in any format.
        max_per_img: Detections per image; at most N·K are there.

    Returns:
        Boxes (B, D, 4), scores (B, D) falling and in at least float32, labels (B, D).
    """
    num_classes = logits.shape[-1]
    # In half precision many scores would tie, and numpy knows no bfloat16.
    pairs = logits.to(torch.promote_types(logits.dtype, torch.float32)).sigmoid().flatten(1)  # (B, N·K)
    scores, index = pairs.topk(min(max_per_img, pairs.shape[1]), dim=1)  # (B, D)
    proposals = index // num_classes
    return boxes.gather(1, proposals[..., None].expand(-1, -1, 4)), scores, index % num_classes
