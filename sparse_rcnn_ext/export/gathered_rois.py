"""RoI features in few, large and standard operators, for exported graphs."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from sparse_rcnn_ext.models import RoIFeatures
from sparse_rcnn_ext.models.roi_features import PyramidTable


class GatheredRoIFeatures(RoIFeatures):
    """The same features with gathers and products in place of ``embedding_bag``, which ONNX lacks.

    ONNX's RoiAlign would take each level's RoIs apart by their number, which depends on the data; it was slower too.
    Both axes are one tensor as long as they can be, since each operator costs a runtime as much as a small product.
    Images and weights are finite here, and some runtimes and tools know no NaN: nothing is made of it.

    Args:
        original: Whose settings to take.
    """

    def __init__(self, original: RoIFeatures) -> None:
        super().__init__(
            original.output_size,
            original.sampling_ratio,
            original.strides.tolist(),
            original.finest_scale,
            original.level_eps,
        )
        # The formula of `levels`, solved for the area: without a root and a logarithm.
        sides = (2.0 ** torch.arange(1, len(self.strides), dtype=torch.float64) - self.level_eps) * self.finest_scale
        self.register_buffer('least_areas', sides.square().float(), persistent=False)
        samples = self.output_size * self.sampling_ratio
        self.register_buffer('steps', (torch.arange(samples).view(-1, 1) + 0.5) / samples, persistent=False)
        self.register_buffer('neighbours', torch.tensor([0.0, 1.0]), persistent=False)

    def tabulate(self, pyramid: Sequence[Tensor]) -> PyramidTable:
        """See :class:`RoIFeatures`; sizes, widths before heights, stay part of the graph, and whole numbers."""
        rows = torch.cat([level.permute(0, 2, 3, 1).flatten(0, 2) for level in pyramid]).float()  # (R, C)
        widths, heights, offsets, first = [], [], [], 0
        for level in pyramid:
            batch, _, height, width = level.shape
            widths.append(width)
            heights.append(height)
            offsets.append(first)
            first = first + batch * height * width
        sizes = _stack([*widths, *heights]).view(2, -1, 1, 1)
        return PyramidTable(rows, None, sizes, _stack(offsets).view(-1, 1, 1), pyramid[0].dtype)

    def levels(self, boxes: Tensor) -> Tensor:
        """See :class:`RoIFeatures`."""
        return self._levels((boxes[..., 2:] - boxes[..., :2]).prod(-1, keepdim=True))

    def _levels(self, area: Tensor) -> Tensor:
        """(..., 1) square pixels to (...,) indices."""
        # long() for coremltools, whose sums of truth values are no whole numbers.
        return (area >= self.least_areas).sum(-1).long()

    def pool(self, table: PyramidTable, boxes: Tensor) -> Tensor:
        """See :class:`RoIFeatures`."""
        indices, weights = self._bags(table, boxes)
        # A row of bins at a time: all at once would take as much memory as Q tables of RoI features.
        rows = zip(indices.split(1, dim=1), weights.unsqueeze(3).split(1, dim=1), strict=True)
        pooled = [weight @ torch.embedding(table.rows, index) for index, weight in rows]  # (M, 1, 7, 1, C) each
        return torch.cat(pooled, dim=1).flatten(1, 3).to(table.dtype)  # (M, P, C)

    def _bags(self, table: PyramidTable, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Rows and weights of every bin, (M, output_size, output_size, Q) each; M = B·N, Q = 4 · sampling_ratio²."""
        batch, num_boxes = boxes.shape[:2]
        # (1, 2, M, 1, 1) each: x and y, RoIs, samples, both neighbours of a sample.
        start, end = boxes.reshape(-1, 2, 2, 1, 1).permute(1, 2, 0, 3, 4).split(1)
        side = end - start
        side_x, side_y = side.split(1, dim=1)
        level = self._levels(side_x * side_y).flatten()  # (M,)
        stride = self.strides.to(boxes.dtype).view(-1, 1, 1).index_select(0, level)  # (M, 1, 1)
        first = table.offsets.index_select(0, level)  # (M, 1, 1)
        whole = table.sizes.index_select(1, level)  # (2, M, 1, 1): width and height
        width, height = whole.split(1)
        size = whole.to(boxes.dtype)
        last = size - 1

        # In cells, cell centres on whole numbers.
        at = start / stride - 0.5 + self.steps * (side / stride)  # (1, 2, M, 7·sampling_ratio, 1)
        # A sample more than one cell outside counts as zero; one nearer than that takes the border's value.
        share = ((at >= -1) & (at <= size)) / self.sampling_ratio
        at = torch.minimum(at.clamp(min=0), last)
        low = at.floor()
        cells = torch.minimum(low + self.neighbours, last).long()  # (1, 2, M, 7·sampling_ratio, 2)
        weights = (1 - self.neighbours - (at - low)).abs() * share

        image = torch.arange(batch, device=boxes.device).repeat_interleave(num_boxes).view(-1, 1, 1)
        cells_x, cells_y = cells.split(1, dim=1)
        rows_y = cells_y * width + (first + image * (height * width))
        weights_x, weights_y = weights.split(1, dim=1)
        return self._cross(rows_y, cells_x, torch.add), self._cross(weights_y, weights_x, torch.mul)

    def _cross(self, of_y: Tensor, of_x: Tensor, join: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """Each row of cells with each column, bin by bin: (1, 1, M, 7·sampling_ratio, 2) each to (M, 7, 7, Q)."""
        bins, cells = self.output_size, 2 * self.sampling_ratio
        return join(of_y.reshape(-1, bins, 1, cells, 1), of_x.reshape(-1, 1, bins, 1, cells)).flatten(3)


def _stack(numbers: Sequence[int]) -> Tensor:
    """Sizes, which a graph knows as symbols only, as a tensor (len(numbers),)."""
    return torch.cat([torch.full((1,), number, dtype=torch.int64) for number in numbers])
