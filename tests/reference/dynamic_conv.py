"""Dynamic convolution, one number at a time."""

import math

from torch import nn


def layer_norm(values: list[float], norm: nn.LayerNorm) -> list[float]:
    mean = sum(values) / len(values)
    variance = sum((value - mean) ** 2 for value in values) / len(values)
    scale = 1 / math.sqrt(variance + norm.eps)
    weight, bias = norm.weight.tolist(), norm.bias.tolist()
    return [(value - mean) * scale * w + b for value, w, b in zip(values, weight, bias, strict=True)]


def linear(values: list[float], layer: nn.Linear) -> list[float]:
    rows, bias = layer.weight.tolist(), layer.bias.tolist()
    return [sum(w * v for w, v in zip(row, values, strict=True)) + b for row, b in zip(rows, bias, strict=True)]


def relu(values: list[float]) -> list[float]:
    return [max(value, 0.0) for value in values]


def dynamic_conv(module: nn.Module, proposal_feat: list[float], roi_feat: list[list[float]]) -> list[float]:
    """One proposal (C) and its RoI (P, C) through the layers of a DynamicConv.

    The proposal makes 2·C·D numbers. The first C·D are a kernel from C to D channels, row by row; the others one from
    D back to C. Both run over every position on its own; then all positions together become C numbers.
    """
    channels, hidden = len(proposal_feat), len(module.norm_in.weight)
    params = linear(proposal_feat, module.dynamic_layer)
    flat = []
    for values in roi_feat:
        inner = [sum(values[c] * params[c * hidden + d] for c in range(channels)) for d in range(hidden)]
        inner = relu(layer_norm(inner, module.norm_in))
        second = channels * hidden
        outer = [sum(inner[d] * params[second + d * channels + c] for d in range(hidden)) for c in range(channels)]
        flat += relu(layer_norm(outer, module.norm_out))
    return relu(layer_norm(linear(flat, module.fc_layer), module.fc_norm))
