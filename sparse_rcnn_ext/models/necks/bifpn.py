"""BiFPN: a pyramid whose levels are fused top-down and bottom-up, several times, with learned weights."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule, DepthwiseSeparableConvModule
from mmengine.model import BaseModule, ModuleList
from torch import Tensor, nn

from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.registry import MODELS

FUSION_EPS = 1e-4


class FusionNode(BaseModule):
    """Fast normalised fusion (https://arxiv.org/abs/1911.09070, section 3.3), then a convolution.

    The fused map is ``sum(w_i x_i) / (eps + sum(w_i))`` with ``w`` the ReLU of the learned weights and ``eps`` 1e-4.

    Args:
        num_inputs: Maps to fuse.
        conv: Makes the layer that follows the fusion.
    """

    def __init__(self, num_inputs: int, conv: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.ones(num_inputs))
        self.conv = conv()

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """``num_inputs`` maps (B, C, H, W) of one shape to one."""
        weights = self.weights.relu()
        weights = weights / (FUSION_EPS + weights.sum())
        return self.conv(sum(weight * level for weight, level in zip(weights, inputs, strict=True)))


class BiFPNLayer(BaseModule):
    """One pass down and one up through all levels (figure 2d and equation 3 of the paper).

    Args:
        num_levels: L, levels of the pyramid.
        conv: Makes the layer that follows each fusion.
    """

    def __init__(self, num_levels: int, conv: Callable[[], nn.Module]) -> None:
        super().__init__()
        # One for each level, finest first, save that the coarsest has nothing above and the finest nothing below it.
        self.top_down = ModuleList(FusionNode(2, conv) for _ in range(num_levels - 1))
        self.bottom_up = ModuleList(FusionNode(2 if i == num_levels - 1 else 3, conv) for i in range(1, num_levels))

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """L maps (B, C, H_l, W_l), finest first, to as many of the same shapes."""
        last = len(levels) - 1
        down = list(levels)
        for i in reversed(range(last)):
            down[i] = self.top_down[i]([levels[i], resize(down[i + 1], levels[i])])
        outputs = down[:1]
        for i in range(1, last + 1):
            between = [down[i]] if i < last else []
            outputs.append(self.bottom_up[i - 1]([levels[i], *between, halve(outputs[-1], levels[i])]))
        return outputs


@MODELS.register_module()
class BiFPN(BaseModule):
    """Weighted bi-directional feature pyramid of EfficientDet (https://arxiv.org/abs/1911.09070).

    A 1×1 convolution brings every level to ``out_channels``; then ``num_layers`` fusion layers follow. Levels need not
    halve exactly: nearest neighbours and max pooling end at the size that the finer or coarser level has.

    Args:
        in_channels: Channels of each level of the backbone, finest first.
        out_channels: C, channels of all levels that come out.
        num_outs: Levels that come out. Those beyond the backbone's are pooled from its last one.
        num_layers: How many times the pyramid is fused.
        depthwise: Fuse with depthwise-separable 3×3 convolutions, as the paper does, in place of plain ones.
        norm_cfg: Norm layer after each convolution, None for none. The paper has batch norm, over many images.
        act_cfg: Activation after each convolution of the fusion layers, None for none. The paper has ``SiLU``.
        init_cfg: mmengine's initialisers; None for Xavier's uniform distribution, as in mmdet's FPN.

    Raises:
        UserError: If there are fewer than 3 levels, fewer of them than the backbone gives, or no layer.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int,
        num_outs: int,
        num_layers: int = 3,
        depthwise: bool = True,
        norm_cfg: dict | None = None,
        act_cfg: dict | None = None,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg or dict(type='Xavier', layer='Conv2d', distribution='uniform'))
        if num_outs < max(3, len(in_channels)):
            raise UserError(
                f'BiFPN got num_outs={num_outs} for {len(in_channels)} in_channels: '
                'it needs at least 3, and at least one for each of in_channels.'
            )
        if num_layers < 1:
            raise UserError(f'BiFPN got num_layers={num_layers}: it needs at least 1.')
        self.num_outs = num_outs
        lateral = partial(ConvModule, out_channels=out_channels, kernel_size=1, norm_cfg=norm_cfg, act_cfg=None)
        self.laterals = ModuleList(lateral(in_channels=channels) for channels in in_channels)
        self.extra = lateral(in_channels=in_channels[-1]) if num_outs > len(in_channels) else None
        fusion = partial(
            DepthwiseSeparableConvModule if depthwise else ConvModule,
            out_channels,
            out_channels,
            kernel_size=3,
            padding=1,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
        )
        self.layers = ModuleList(BiFPNLayer(num_outs, fusion) for _ in range(num_layers))

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """One map (B, C_l, H_l, W_l) for each of ``in_channels`` to ``num_outs`` maps (B, C, H_l, W_l).

        An added level has half the side of the one before, rounded up.
        """
        levels = [lateral(level) for lateral, level in zip(self.laterals, inputs, strict=True)]
        if self.extra is not None:
            levels.append(halve(self.extra(inputs[-1])))
        while len(levels) < self.num_outs:
            levels.append(halve(levels[-1]))
        for layer in self.layers:
            levels = layer(levels)
        return tuple(levels)


def resize(level: Tensor, like: Tensor) -> Tensor:
    """Nearest neighbours of ``level`` (B, C, H, W) at the height and width of ``like``."""
    return F.interpolate(level, size=like.shape[-2:], mode='nearest')


def halve(level: Tensor, like: Tensor | None = None) -> Tensor:
    """Maximum over 3×3 cells around every second cell: (B, C, H, W) to half the sides, rounded up.

    With ``like``, at its height and width: a backbone that rounds down has no place for the last cell.
    """
    pooled = F.max_pool2d(level, 3, stride=2, padding=1)
    return pooled if like is None or pooled.shape[-2:] == like.shape[-2:] else resize(pooled, like)
