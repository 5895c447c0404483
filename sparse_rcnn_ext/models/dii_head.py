"""One stage of the head: proposals talk to each other, read their RoI, and say class and box."""

import math

import torch
from mmcv.cnn.bricks.transformer import FFN
from mmengine.model import BaseModule, bias_init_with_prob
from torch import Tensor, nn

from sparse_rcnn_ext.registry import MODELS

from .parts import build_own

SETTING = 'model.roi_head.bbox_head'


@MODELS.register_module()
class DIIHead(BaseModule):
    """Dynamic instance interactive head, one stage of Sparse R-CNN (https://arxiv.org/abs/2011.12450, section 3.2).

    Args:
        num_classes: Classes to tell apart (K).
        num_ffn_fcs: Linear layers of the feed-forward network.
        num_heads: Attention heads.
        num_cls_fcs: Linear layers before the classifier.
        num_reg_fcs: Linear layers before the box regressor.
        feedforward_channels: Width of the feed-forward network.
        in_channels: Channels of proposal and RoI features (C).
        dropout: Dropout in attention, interaction and feed-forward network.
        attention_cfg: What the proposals say to each other, (B, N, C) to (B, N, C), called like
            :class:`ProposalSelfAttention`, which None stands for. It is built with this head's ``in_channels``,
            ``num_heads`` and ``dropout``.
        dynamic_conv_cfg: How a proposal reads its RoI, (M, C) and (M, P, C) to (M, C); None for :class:`DynamicConv`.
            It is built with this head's ``in_channels``.
        bbox_stds: What a box delta of one stands for, as (dx, dy, dw, dh).
        wh_scale_range: Least and greatest factor by which one stage may change a side. The default is mmdet's;
            the official implementation has (0, 100000 / 16).
        prior_prob: Score of every class at the start of training, for the classifier's bias
            (focal loss, https://arxiv.org/abs/1708.02002, section 4.1).
    """

    one_label = False
    """Whether a proposal gives one detection, of its best class, and not one for each class."""

    def __init__(
        self,
        num_classes: int = 80,
        num_ffn_fcs: int = 2,
        num_heads: int = 8,
        num_cls_fcs: int = 1,
        num_reg_fcs: int = 3,
        feedforward_channels: int = 2048,
        in_channels: int = 256,
        dropout: float = 0.0,
        attention_cfg: dict | None = None,
        dynamic_conv_cfg: dict | None = None,
        bbox_stds: tuple[float, float, float, float] = (0.5, 0.5, 1.0, 1.0),
        wh_scale_range: tuple[float, float] = (16 / 1000, 1000 / 16),
        prior_prob: float = 0.01,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.register_buffer('bbox_stds', torch.tensor(bbox_stds), persistent=False)
        self.wh_scale_range = tuple(wh_scale_range)
        self.prior_prob = prior_prob

        attention = attention_cfg or dict(type='sparse_rcnn_ext.ProposalSelfAttention')
        sizes = dict(in_channels=in_channels, num_heads=num_heads, dropout=dropout)
        self.attention = build_own(dict(**sizes, **attention), f'{SETTING}.attention_cfg', 'ProposalSelfAttention')
        self.attention_norm = nn.LayerNorm(in_channels)

        interaction = dynamic_conv_cfg or dict(type='sparse_rcnn_ext.DynamicConv')
        self.instance_interactive_conv = build_own(
            dict(in_channels=in_channels, **interaction), f'{SETTING}.dynamic_conv_cfg', 'DynamicConv'
        )
        self.instance_interactive_conv_dropout = nn.Dropout(dropout)
        self.instance_interactive_conv_norm = nn.LayerNorm(in_channels)

        self.ffn = FFN(in_channels, feedforward_channels, num_ffn_fcs, ffn_drop=dropout)
        self.ffn_norm = nn.LayerNorm(in_channels)

        self.cls_fcs = self._tower(in_channels, num_cls_fcs)
        self.fc_cls = nn.Linear(in_channels, num_classes)
        self.reg_fcs = self._tower(in_channels, num_reg_fcs)
        self.fc_reg = nn.Linear(in_channels, 4)

    @staticmethod
    def _tower(channels: int, num_fcs: int) -> nn.Sequential:
        layers = [
            layer
            for _ in range(num_fcs)
            for layer in (nn.Linear(channels, channels, bias=False), nn.LayerNorm(channels), nn.ReLU(inplace=True))
        ]
        return nn.Sequential(*layers)

    def init_weights(self) -> None:
        """Xavier for every weight matrix, the focal prior for the classifier's bias."""
        super().init_weights()
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
            elif isinstance(module, nn.MultiheadAttention):
                nn.init.xavier_uniform_(module.in_proj_weight)
        nn.init.constant_(self.fc_cls.bias, bias_init_with_prob(self.prior_prob))

    def forward(
        self, roi_feats: Tensor, proposal_feats: Tensor, boxes: Tensor, hidden: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Refine the proposals once.

        Args:
            roi_feats: (B·N, P, C), P positions of each RoI's grid.
            proposal_feats: (B, N, C).
            boxes: (B, N, 4) xyxy pixels, where the RoIs were.
            hidden: (B, N, N), True where a proposal (row) must not see another (column); None: all see all.

        Returns:
            Logits (B, N, K), boxes (B, N, 4) xyxy pixels, object features (B, N, C) for the next stage.
        """
        feats = self.attention_norm(self.attention(proposal_feats, boxes, hidden))  # (B, N, C)

        interaction = self.instance_interactive_conv(feats.flatten(0, 1), roi_feats)  # (B·N, C)
        interaction = self.instance_interactive_conv_dropout(interaction).view(feats.shape)  # (B, N, C)
        feats = self.instance_interactive_conv_norm(feats + interaction)
        feats = self.ffn_norm(self.ffn(feats))

        logits = self.fc_cls(self.cls_fcs(feats))  # (B, N, K)
        deltas = self.fc_reg(self.reg_fcs(feats))  # (B, N, 4)
        return logits, decode_deltas(boxes, deltas, self.bbox_stds, self.wh_scale_range), feats

    @staticmethod
    def scores(logits: Tensor) -> Tensor:
        """Logits (..., K) to scores (..., K) from 0 to 1, in at least float32."""
        # In half precision many scores would tie, and numpy knows no bfloat16.
        return logits.to(torch.promote_types(logits.dtype, torch.float32)).sigmoid()


def decode_deltas(boxes: Tensor, deltas: Tensor, stds: Tensor, wh_scale_range: tuple[float, float]) -> Tensor:
    """Shift and scale boxes, as in R-CNN (https://arxiv.org/abs/1311.2524, appendix C).

    Centres move by delta · std · side, sides grow by exp(delta · std). The result is not clipped to the image.

    Args:
        boxes: (..., 4) xyxy pixels.
        deltas: (..., 4) as (dx, dy, dw, dh).
        stds: (4,) what a delta of one stands for; (0.5, 0.5, 1, 1) are the weights (2, 2, 1, 1) of detectron2.
        wh_scale_range: Least and greatest factor by which a side may change; a lower end of 0 means no lower bound.

    Returns:
        (..., 4) xyxy pixels, in at least float32.
    """
    dtype = torch.promote_types(torch.promote_types(boxes.dtype, deltas.dtype), torch.float32)
    deltas = deltas.to(dtype) * stds.to(dtype)
    boxes = boxes.to(dtype)
    lower = math.log(wh_scale_range[0]) if wh_scale_range[0] > 0 else None

    sides = boxes[..., 2:] - boxes[..., :2]
    centers = (boxes[..., :2] + boxes[..., 2:]) * 0.5 + deltas[..., :2] * sides
    half_sides = sides * deltas[..., 2:].clamp(min=lower, max=math.log(wh_scale_range[1])).exp() * 0.5
    return torch.cat([centers - half_sides, centers + half_sides], dim=-1)


@MODELS.register_module()
class ProposalSelfAttention(BaseModule):
    """Self-attention among the proposals of an image, with its residual.

    Args:
        in_channels: Channels of a proposal's feature (C).
        num_heads: Attention heads.
        dropout: Dropout of the attention weights.
    """

    def __init__(self, in_channels: int, num_heads: int = 8, dropout: float = 0.0) -> None:
        super().__init__()
        # The name `attn` is part of the weights: mmdet's checkpoints hold attention.attn.in_proj_weight.
        self.attn = nn.MultiheadAttention(in_channels, num_heads, dropout, batch_first=True)

    def forward(self, feats: Tensor, boxes: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Let the proposals of each image talk.

        Args:
            feats: (B, N, C).
            boxes: (B, N, 4) xyxy pixels, where the proposals are; this class does not look at them.
            hidden: (B, N, N), True where a proposal (row) must not see another (column); None: all see all.

        Returns:
            (B, N, C).
        """
        asking = self.locate(feats, boxes)
        if hidden is not None:
            hidden = hidden.repeat_interleave(self.attn.num_heads, dim=0)  # (B·heads, N, N)
        return feats + self.attn(asking, asking, feats, attn_mask=hidden, need_weights=False)[0]

    def locate(self, feats: Tensor, boxes: Tensor) -> Tensor:
        """What asks and is asked for, (B, N, C): the features alone."""
        return feats
