"""mmdet's losses that work in the criterion, each for one logit or one pair of boxes, in Python floats."""

import math

from tests.reference.boxes import Box, diou, giou, iou
from tests.reference.set_prediction import focal

# mmdet's guards of divisions, in square pixels, are all that may differ.


def cross_entropy(logit: float, truth: float) -> float:
    """Binary cross-entropy of a logit."""
    prob = 1 / (1 + math.exp(-logit))
    return -truth * math.log(prob) - (1 - truth) * math.log(1 - prob)


def quality_focal(logit: float, truth: float) -> float:
    """https://arxiv.org/abs/2006.04388, equation 2 with β = 2."""
    return abs(truth - 1 / (1 + math.exp(-logit))) ** 2 * cross_entropy(logit, truth)


def varifocal(logit: float, truth: float) -> float:
    """https://arxiv.org/abs/2008.13367, equation 2 with α = 0.75 and γ = 2."""
    weight = truth if truth > 0 else 0.75 / (1 + math.exp(-logit)) ** 2
    return weight * cross_entropy(logit, truth)


def smooth_l1(off: float, beta: float = 1.0) -> float:
    """A parabola up to beta, a line beyond."""
    return 0.5 * off**2 / beta if off < beta else off - 0.5 * beta


def balanced_l1(off: float) -> float:
    """https://arxiv.org/abs/1904.02701, equation 10 with α = 0.5 and γ = 1.5."""
    b = math.exp(1.5 / 0.5) - 1
    if off < 1:
        return 0.5 / b * (b * off + 1) * math.log(b * off + 1) - 0.5 * off
    return 1.5 * off + 1.5 / b - 0.5


def siou(a: Box, b: Box) -> float:
    """https://arxiv.org/abs/2205.12740, with 4 as the exponent of the shape cost."""
    across, down = _hull(a, b)
    dx, dy = (b[0] + b[2] - a[0] - a[2]) / 2, (b[1] + b[3] - a[1] - a[3]) / 2
    # mmdet takes 2 − angle as γ and leaves its sign out, which is its ``neg_gamma=False``.
    angle = math.sin(2 * math.asin(min(abs(dx), abs(dy)) / math.hypot(dx, dy)))
    distance = sum(1 - math.exp((2 - angle) * (off / side) ** 2) for off, side in ((dx, across), (dy, down)))
    sides = ((a[2] - a[0], b[2] - b[0]), (a[3] - a[1], b[3] - b[1]))
    shape = sum((1 - math.exp(-abs(one - other) / max(one, other))) ** 4 for one, other in sides)
    return max(-1.0, min(1.0, iou(a, b) - (distance + shape) / 2))


def bounded_iou(a: Box, b: Box) -> float:
    """https://arxiv.org/abs/1711.00164, equations 10 to 12, through smooth L1."""
    total = 0.0
    for low, high in ((0, 2), (1, 3)):
        side, wanted = a[high] - a[low], b[high] - b[low]
        off = abs(a[low] + a[high] - b[low] - b[high]) / 2
        total += smooth_l1(1 - max(0.0, (wanted - 2 * off) / (wanted + 2 * off)), beta=0.2)
        total += smooth_l1(1 - min(side / wanted, wanted / side), beta=0.2)
    return total


def _hull(a: Box, b: Box) -> tuple[float, float]:
    return max(a[2], b[2]) - min(a[0], b[0]), max(a[3], b[3]) - min(a[1], b[1])


OF_CLASSES = {
    'FocalLoss': lambda logit, truth: focal(logit, truth > 0),
    'CrossEntropyLoss': cross_entropy,
    'CrossEntropyCustomLoss': cross_entropy,
    'QualityFocalLoss': quality_focal,
    'VarifocalLoss': varifocal,
}
"""Of a logit and its truth: 0, or 1, or for the last two the IoU of the box."""

OF_COORDINATES = {
    'L1Loss': lambda off: off,
    'SmoothL1Loss': smooth_l1,
    'BalancedL1Loss': balanced_l1,
    'MSELoss': lambda off: off**2,
}
"""Of how far off a coordinate is."""

OF_BOXES = {
    'IoULoss': lambda a, b: -math.log(iou(a, b)),
    'GIoULoss': lambda a, b: 1 - giou(a, b),
    'DIoULoss': lambda a, b: 1 - diou(a, b),
    'EIoULoss': lambda a, b: smooth_l1(1 - iou(a, b), beta=0.1),
    'SIoULoss': lambda a, b: 1 - siou(a, b),
    'BoundedIoULoss': bounded_iou,
}
"""Of two boxes that overlap, xyxy pixels."""
