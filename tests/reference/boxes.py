"""Boxes one at a time, as (x1, y1, x2, y2) tuples of Python floats."""

import math

Box = tuple[float, float, float, float]


def area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes with an area."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    intersection = width * height if width > 0 and height > 0 else 0.0
    return intersection / (area(a) + area(b) - intersection)


def giou(a: Box, b: Box) -> float:
    """IoU less the share of the smallest enclosing box that neither box covers (https://arxiv.org/abs/1902.09630)."""
    enclosing = area((min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])))
    overlap = iou(a, b)
    # With u the union: iou = i / u and i + u is both areas, so u = (both areas) / (1 + iou).
    union = (area(a) + area(b)) / (1 + overlap)
    return overlap - (enclosing - union) / enclosing


def diou(a: Box, b: Box) -> float:
    """IoU less (distance of the centres / diagonal of the enclosing box)² (https://arxiv.org/abs/1911.08287)."""
    centers = [((box[0] + box[2]) / 2, (box[1] + box[3]) / 2) for box in (a, b)]
    diagonal = math.dist((min(a[0], b[0]), min(a[1], b[1])), (max(a[2], b[2]), max(a[3], b[3])))
    return iou(a, b) - (math.dist(*centers) / diagonal) ** 2


def ciou(a: Box, b: Box) -> float:
    """DIoU less αv, with v the difference of the aspects (https://arxiv.org/abs/1911.08287)."""
    angles = [math.atan((box[2] - box[0]) / (box[3] - box[1])) for box in (a, b)]
    v = 4 / math.pi**2 * (angles[0] - angles[1]) ** 2
    if v == 0:
        return diou(a, b)
    return diou(a, b) - v / (1 - iou(a, b) + v) * v


def l1(a: Box, b: Box, width: float, height: float) -> float:
    """Distance of the corners; x in units of the image's width, y of its height."""
    scale = (width, height, width, height)
    return sum(abs(p - q) / s for p, q, s in zip(a, b, scale, strict=True))


def pyramid_level(box: Box) -> float:
    """FPN's level before rounding down: 4 + log2(√area / 224), where P2 is 2 (https://arxiv.org/abs/1612.03144)."""
    return 4 + math.log2(math.sqrt(area(box)) / 224)


def decode(box: Box, deltas: Box, stds: Box, wh_scale_range: tuple[float, float]) -> Box:
    """R-CNN's box regression: the centre moves by a share of the side, the side grows by a factor."""
    dx, dy, dw, dh = (delta * std for delta, std in zip(deltas, stds, strict=True))
    width, height = box[2] - box[0], box[3] - box[1]
    center_x = (box[0] + box[2]) / 2 + dx * width
    center_y = (box[1] + box[3]) / 2 + dy * height
    width *= min(max(math.exp(dw), wh_scale_range[0]), wh_scale_range[1])
    height *= min(max(math.exp(dh), wh_scale_range[0]), wh_scale_range[1])
    return (center_x - width / 2, center_y - height / 2, center_x + width / 2, center_y + height / 2)
