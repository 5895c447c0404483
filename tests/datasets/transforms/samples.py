"""Samples as mmdet's loading transforms leave them."""

from collections.abc import Sequence

import numpy as np
from mmdet.structures.bbox import HorizontalBoxes


def make_sample(
    image: np.ndarray, boxes: Sequence[Sequence[float]] = (), labels: Sequence[int] = (), ignored: Sequence[bool] = ()
) -> dict:
    """``boxes`` xyxy; labels default to 0, 1, 2, …, flags to False."""
    count = len(boxes)
    return {
        'img': image,
        'img_shape': image.shape[:2],
        'gt_bboxes': HorizontalBoxes(np.array(boxes, np.float32).reshape(-1, 4)),
        'gt_bboxes_labels': np.array(labels or range(count), np.int64),
        'gt_ignore_flags': np.array(ignored or [False] * count, bool),
    }
