"""RoI features of a whole pyramid: one flat table a step, one weighted sum of its rows a bin."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from mmengine.model import BaseModule
from torch import Tensor

from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.models.bag_pooling import BagGradients, pool_bags, share_rows
from sparse_rcnn_ext.registry import MODELS


class PyramidTable(NamedTuple):
    """All levels and images of a pyramid as rows of one table."""

    rows: Tensor
    """(R, C), level by level, image by image, row by row, at least float32."""
    gradients: BagGradients
    """What the stages leave behind for the backward pass."""
    sizes: Tensor
    """(L, 2) height and width of each level."""
    offsets: Tensor
    """(L,) the first row of each level."""
    dtype: torch.dtype
    """The pyramid's own dtype, which the pooled features take."""


@MODELS.register_module()
class RoIFeatures(BaseModule):
    """RoIAlign (https://arxiv.org/abs/1703.06870, aligned to pixel centres) over all levels at once.

    A bin is the mean of ``sampling_ratio``² bilinear samples, each a weighted sum of four rows of the table. A RoI's
    level only shifts its row numbers, so there is no loop over levels and nothing to wait for.

    Args:
        output_size: Bins per side; P is its square.
        sampling_ratio: Samples per bin and side.
        featmap_strides: Stride of each pyramid level, finest first.
        finest_scale: Boxes of a side under twice this many pixels go to the finest level
            (FPN, https://arxiv.org/abs/1612.03144, equation 1, with 224 = 4 · 56 on the third level).
        level_eps: Added inside the logarithm; mmdet has 1e-6, the official implementation 1e-8 at four times the
            scale, which is 4e-8 here.
    """

    def __init__(
        self,
        output_size: int = 7,
        sampling_ratio: int = 2,
        featmap_strides: Sequence[int] = (4, 8, 16, 32),
        finest_scale: int = 56,
        level_eps: float = 1e-6,
    ) -> None:
        super().__init__()
        self.output_size = output_size
        self.sampling_ratio = sampling_ratio
        self.featmap_strides = tuple(featmap_strides)
        self.register_buffer('strides', torch.tensor(featmap_strides), persistent=False)
        self.finest_scale = finest_scale
        self.level_eps = level_eps

    def tabulate(self, pyramid: Sequence[Tensor]) -> PyramidTable:
        """Lay the pyramid out as a table, once a step.

        Args:
            pyramid: One level (B, C, H_l, W_l) for each stride, finest first.

        Raises:
            UserError: If the number of levels is not that of the strides.
        """
        if len(pyramid) != len(self.strides):
            raise UserError(
                f'RoIFeatures got {len(pyramid)} pyramid levels for {len(self.strides)} featmap_strides: '
                'set model.neck.num_outs and model.roi_head.roi_features.featmap_strides alike'
            )
        dtype = torch.promote_types(pyramid[0].dtype, torch.float32)
        rows = torch.cat([level.permute(0, 2, 3, 1).flatten(0, 2) for level in pyramid]).to(dtype)  # (R, C)
        sizes = [tuple(level.shape[-2:]) for level in pyramid]
        offsets = [0]
        for level in pyramid[:-1]:
            offsets.append(offsets[-1] + level.shape[0] * level.shape[2] * level.shape[3])
        rows, gradients = share_rows(rows)
        return PyramidTable(
            rows,
            gradients,
            torch.tensor(sizes, dtype=dtype).to(rows.device, non_blocking=True),
            torch.tensor(offsets).to(rows.device, non_blocking=True),
            pyramid[0].dtype,
        )

    def pool(self, table: PyramidTable, boxes: Tensor) -> Tensor:
        """Features of each box's grid.

        Args:
            table: From :meth:`tabulate`.
            boxes: (B, N, 4) xyxy pixels; no gradient reaches them.

        Returns:
            (B·N, P, C) in the pyramid's dtype.
        """
        with torch.no_grad():
            indices, weights = self._bags(table, boxes.detach().to(table.rows.dtype))
        pooled = pool_bags(table.rows, indices, weights, table.gradients)  # (B·N·P, C)
        return pooled.view(-1, self.output_size**2, pooled.shape[-1]).to(table.dtype)

    def levels(self, boxes: Tensor) -> Tensor:
        """Pyramid level of each box: (..., 4) xyxy pixels to (...,) indices, 0 the finest."""
        area = (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
        # Of a box with one side below zero: not NaN, which only a box of NaN has.
        level = torch.log2(area.clamp(min=0).sqrt() / self.finest_scale + self.level_eps).floor()
        return self._number(level).clamp(0, len(self.strides) - 1).long()

    def _number(self, values: Tensor) -> Tensor:
        """Zeros for NaN, of which a box may be made: they must not address memory outside of the table."""
        return values.nan_to_num(0.0)

    def _bags(self, table: PyramidTable, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Rows and weights of every bin, (B·N·P, Q) each; Q = 4 · sampling_ratio²."""
        batch, num_boxes = boxes.shape[:2]
        level = self.levels(boxes).flatten()  # (M,), M = B·N
        stride = self.strides[level, None]
        height, width = table.sizes[level].unbind(-1)  # (M,)

        boxes = boxes.flatten(0, 1) / stride - 0.5  # (M, 4) in cells, cell centres on whole numbers
        rows_y, weights_y = self._axis(boxes[:, 1], boxes[:, 3], height)  # (M, 7, 2·sampling_ratio)
        rows_x, weights_x = self._axis(boxes[:, 0], boxes[:, 2], width)

        image = torch.arange(batch, device=boxes.device).repeat_interleave(num_boxes)  # (M,)
        width = width.long()
        first = table.offsets[level] + image * height.long() * width  # (M,)
        # By ``unsqueeze``: ``[:, None]`` is two steps, or more, for whoever traces this.
        rows_y = first.unsqueeze(1).unsqueeze(2) + rows_y * width.unsqueeze(1).unsqueeze(2)
        indices = rows_y.unsqueeze(2).unsqueeze(4) + rows_x.unsqueeze(2).unsqueeze(1)  # (M, 7, 7, 2s, 2s)
        weights = weights_y.unsqueeze(2).unsqueeze(4) * weights_x.unsqueeze(2).unsqueeze(1)
        return indices.flatten(3).flatten(0, 2), weights.flatten(3).flatten(0, 2)

    def _axis(self, start: Tensor, end: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
        """Cells and weights of the samples along one axis.

        Args:
            start, end: (M,) borders of the RoIs in cells.
            size: (M,) cells along the axis.

        Returns:
            Cell numbers and weights, (M, output_size, 2·sampling_ratio) each: both neighbours of every sample.
        """
        samples = self.output_size * self.sampling_ratio
        steps = (torch.arange(samples, device=start.device, dtype=start.dtype) + 0.5) / samples
        at = start.unsqueeze(1) + steps * (end - start).unsqueeze(1)  # (M, samples)
        size = size.unsqueeze(1)
        last = size - 1
        # A sample more than one cell outside counts as zero; one nearer than that takes the border's value.
        inside = (at >= -1) & (at <= size)
        at = torch.minimum(at.clamp(min=0), last)
        low = at.floor()
        share = at - low
        # The weights of NaN boxes stay NaN and reach the loss.
        low = torch.minimum(self._number(low), last).long()
        high = torch.minimum(low + 1, last.long())
        cells = torch.stack([low, high], dim=-1)
        weights = torch.stack([1 - share, share], dim=-1) * inside[..., None] / self.sampling_ratio
        return cells.unflatten(1, (self.output_size, -1)).flatten(2), weights.unflatten(
            1, (self.output_size, -1)
        ).flatten(2)
