"""Class losses that want the IoU of the matched box, one entry at a time in Python floats.

Each takes a logit and the IoU of the matched box at the class of its ground truth, or None for every other entry, and
returns the target and the weight of the cross-entropy besides the score that they are for.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

Rule = Callable[[float, float | None, float], tuple[float, float]]
"""Score p, IoU and γ to target and weight."""


class Entry(NamedTuple):
    """One entry's loss and its derivative by the logit, where neither target nor weight has one."""

    loss: float
    gradient: float


def matchability_aware(prob: float, iou: float | None, gamma: float = 1.5) -> tuple[float, float]:
    """MAL of https://arxiv.org/abs/2412.04234, equation 3."""
    return (0.0, prob**gamma) if iou is None else (iou**gamma, 1.0)


def position_supervised(prob: float, iou: float | None, gamma: float = 2.0) -> tuple[float, float]:
    """https://arxiv.org/abs/2304.04742, equation 5, with the balance of its code."""
    target = 0.0 if iou is None else iou * iou
    return target, (0.75 if iou is None else 0.25) * abs(target - prob) ** gamma


def entry(rule: Rule, logit: float, iou: float | None, *gamma: float) -> Entry:
    """The weighted binary cross-entropy of one entry."""
    prob = 1 / (1 + math.exp(-logit))
    target, weight = rule(prob, iou, *gamma)
    loss = -target * math.log(prob) - (1 - target) * math.log(1 - prob)
    return Entry(weight * loss, weight * (prob - target))
