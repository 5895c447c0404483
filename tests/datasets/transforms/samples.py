"""Samples as mmdet's loading transforms leave them; some with rectangles that their colours tell apart."""

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


def color_of(label: int) -> np.ndarray:
    """No mixture of black or grey with such a colour, as an edge has it, is near another: the red says so."""
    return np.array([20 * label, 240 - 20 * label, 255])


def draw_rectangles(rng: np.random.Generator, labels: list[int], smallest: int = 60, largest: int = 160) -> dict:
    """A black image of any size with a rectangle for each of up to four labels, 0 to 12, in corners of its own."""
    height, width = rng.integers(smallest, largest, 2).tolist()
    image = np.zeros((height, width, 3), np.uint8)
    boxes = []
    for label, (column, row) in zip(labels, ((0, 0), (1, 0), (0, 1), (1, 1))):
        left, top = (np.array([column, row]) * 0.5 + rng.uniform(0, 0.1, 2)) * (width, height)
        right, bottom = (left, top) + rng.uniform(0.3, 0.4, 2) * (width, height)
        x1, y1, x2, y2 = (int(value) for value in (left, top, right, bottom))
        image[y1:y2, x1:x2] = color_of(label)
        boxes.append((x1, y1, x2, y2))
    return make_sample(image, boxes, labels, [label % 2 == 1 for label in labels])


def find_color(image: np.ndarray, label: int) -> tuple[int, int, int, int] | None:
    """The box xyxy around all pixels in the colour of a label; None where there is none."""
    found = [
        (x, y)
        for y, row in enumerate(image.astype(int))
        for x in np.flatnonzero(np.abs(row - color_of(label)).max(axis=1) < 9)
    ]
    if not found:
        return None
    (left, top), (right, bottom) = np.min(found, axis=0), np.max(found, axis=0)
    return left, top, right + 1, bottom + 1
