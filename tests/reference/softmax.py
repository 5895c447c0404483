"""Classes that exclude each other, in loops over Python floats; "no object" is the last class."""

import math


def softmax(logits: list[float]) -> list[float]:
    """Probabilities of one proposal's classes."""
    total = sum(math.exp(logit) for logit in logits)
    return [math.exp(logit) / total for logit in logits]


def class_loss(logits: list[list[float]], labels: list[int], no_object_weight: float) -> float:
    """Weighted mean of -log p over proposals, DETR's (https://arxiv.org/abs/2005.12872, section 3.1)."""
    weights = [no_object_weight if label == len(row) - 1 else 1.0 for row, label in zip(logits, labels, strict=True)]
    losses = [-math.log(softmax(row)[label]) for row, label in zip(logits, labels, strict=True)]
    return sum(weight * loss for weight, loss in zip(weights, losses, strict=True)) / sum(weights)
