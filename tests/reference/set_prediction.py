"""Costs, matching and losses of one image and one stage, in loops over Python floats."""

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

from tests.reference.boxes import Box, giou, l1


class Image(NamedTuple):
    """What one stage says of one image, and the truth."""

    logits: list[list[float]]
    boxes: list[Box]
    labels: list[int]
    targets: list[Box]
    width: float
    height: float


def focal(logit: float, is_class: bool, alpha: float = 0.25, gamma: float = 2.0) -> float:
    """Focal loss of one logit, as written in https://arxiv.org/abs/1708.02002, equation 5."""
    prob = 1 / (1 + math.exp(-logit))
    if is_class:
        return -alpha * (1 - prob) ** gamma * math.log(prob)
    return -(1 - alpha) * prob**gamma * math.log(1 - prob)


def focal_cost(logits: list[float], label: int) -> float:
    """What it costs to call a proposal its class rather than background."""
    return focal(logits[label], True) - focal(logits[label], False)


def cost_matrix(
    image: Image,
    weights: tuple[float, float, float] = (2, 5, 2),
    class_cost: Callable[[list[float], int], float] = focal_cost,
) -> list[list[float]]:
    """Cost of each proposal (row) with each target (column), by default with the paper's weights of class, L1, GIoU."""

    def cost(proposal: int, target: int) -> float:
        boxes = image.boxes[proposal], image.targets[target]
        terms = (
            class_cost(image.logits[proposal], image.labels[target]),
            l1(*boxes, image.width, image.height),
            -giou(*boxes),
        )
        return sum(weight * term for weight, term in zip(weights, terms, strict=True))

    return [[cost(p, t) for t in range(len(image.targets))] for p in range(len(image.boxes))]


def best_matching(cost: list[list[float]]) -> tuple[float, list[tuple[int, int]]]:
    """The cheapest of all ways to give each target a proposal of its own; with too few proposals, each a target.

    Returns:
        Its cost and its (proposal, target) pairs, by proposal.
    """
    num_proposals, num_targets = len(cost), len(cost[0]) if cost else 0
    if num_targets <= num_proposals:
        ways = (list(zip(way, range(num_targets))) for way in itertools.permutations(range(num_proposals), num_targets))
    else:
        ways = (
            list(zip(range(num_proposals), way)) for way in itertools.permutations(range(num_targets), num_proposals)
        )
    total, pairs = min((sum(cost[p][t] for p, t in way), sorted(way)) for way in ways)
    return total, pairs


def losses(images: list[Image]) -> dict[str, float]:
    """Losses of one stage on a batch: sums over images and matched pairs by the number of pairs, at least 1."""
    matches = [best_matching(cost_matrix(image))[1] for image in images]
    num_matched = sum(len(pairs) for pairs in matches)
    cls = bbox = overlap = right = 0.0
    for image, pairs in zip(images, matches, strict=True):
        target_of = dict(pairs)
        for proposal, logits in enumerate(image.logits):
            for label, logit in enumerate(logits):
                is_class = proposal in target_of and image.labels[target_of[proposal]] == label
                cls += 2 * focal(logit, is_class)
        for proposal, target in pairs:
            boxes = image.boxes[proposal], image.targets[target]
            bbox += 5 * l1(*boxes, image.width, image.height)
            overlap += 2 * (1 - giou(*boxes))
            logits = image.logits[proposal]
            right += logits.index(max(logits)) == image.labels[target]
    normaliser = max(num_matched, 1)
    return dict(
        loss_cls=cls / normaliser,
        loss_bbox=bbox / normaliser,
        loss_iou=overlap / normaliser,
        pos_acc=100 * right / normaliser,
    )


def detections(logits: list[list[float]], boxes: list[Box], limit: int) -> list[tuple[float, int, Box]]:
    """All (proposal, class) pairs as (score, label, box), best first, at most ``limit``."""
    pairs = [
        (1 / (1 + math.exp(-logit)), label, box)
        for row, box in zip(logits, boxes, strict=True)
        for label, logit in enumerate(row)
    ]
    return sorted(pairs, key=lambda pair: -pair[0])[:limit]
