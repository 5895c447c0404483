"""Proposals that do not see each other."""

from torch import nn

from sparse_rcnn_ext.registry import MODELS


@MODELS.register_module()
class NoSelfAttention(nn.Identity):
    """In place of self-attention: (B, N, C) stay as they are. Takes any settings and needs none."""
