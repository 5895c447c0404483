"""The whole detector as one graph, from normalised images to detections."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from sparse_rcnn_ext.engine.batch_norm_folding import fold_batch_norm
from sparse_rcnn_ext.engine.errors import UserError
from sparse_rcnn_ext.engine.input_channels import blank_images
from sparse_rcnn_ext.models import RoIFeatures, SparseRCNN
from sparse_rcnn_ext.models.dynamic_conv import DynamicConv
from sparse_rcnn_ext.models.post_process import top_detections
from sparse_rcnn_ext.models.roi_features import PyramidTable

from .same_padding import fix_same_padding

INPUTS = ('images', 'sizes')
OUTPUTS = ('boxes', 'scores', 'labels')


class DetectionGraph(nn.Module):
    """What ``SparseRCNN.predict`` computes, in operators that every format has.

    But for ``clip_boxes``: a graph gives equally many boxes of every image, so whatever runs it clips and drops.

    Args:
        detector: Its weights are copied, its ``test_cfg`` counts.
        divisor: Heights and widths of the images will be multiples of this.
        half: Networks compute in float16; boxes, scores and RoI sums stay float32.

    Raises:
        UserError: If ``half`` is asked for and batch norm cannot be folded.
    """

    def __init__(self, detector: SparseRCNN, divisor: int, half: bool = False) -> None:
        super().__init__()
        detector = copy.deepcopy(detector).cpu().float().eval().requires_grad_(False)
        detector.roi_head.roi_features = GatheredRoIFeatures(detector.roi_head.roi_features)
        fix_same_padding(detector.backbone, divisor)
        self.dtype = torch.float16 if half else torch.float32
        if half:
            # Variances may be larger than any float16.
            _fold(detector)
            for part in detector.roi_head.modules():
                if isinstance(part, DynamicConv):
                    _shrink_before_norm(part)
            for part in (detector.backbone, detector.neck, detector.roi_head.bbox_head):
                part.half()
        self.detector = detector
        self.eval()

    def forward(self, images: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Detect objects.

        Args:
            images: (B, 3, H, W) float32, normalised and padded.
            sizes: (B, 2) int64, height and width of each image before padding.

        Returns:
            Boxes (B, D, 4) float32 xyxy in pixels of ``images``, scores (B, D) float32 falling, labels (B, D) int64.
        """
        head = self.detector.roi_head
        pyramid = self.detector.extract_feat(images.to(self.dtype))
        image_whwh = sizes.flip(1).repeat(1, 2).to(images.dtype)  # (B, 4)
        boxes, features, *prior = self.detector.rpn_head(image_whwh, pyramid)  # (B, N, 4), (B, N, C)
        features = features.to(self.dtype)
        stages = head.stages(pyramid, boxes, features, *prior, num_stages=self.detector.num_test_stages)
        # Of the last alone: the class heads of those before it are no part of the graph.
        *_, (logits, boxes) = stages
        return top_detections(head.scores(logits), boxes, self.detector.max_per_img, head.one_label)

    @contextmanager
    def for_export(self) -> Iterator['DetectionGraph']:
        """Without gradients, and without attention's one fast operator, which no format knows."""
        was_fast = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(False)
        try:
            with torch.no_grad():
                yield self
        finally:
            torch.backends.mha.set_fastpath_enabled(was_fast)


class GatheredRoIFeatures(RoIFeatures):
    """The same features with a gather and a product in place of ``embedding_bag``, which ONNX lacks.

    ONNX's RoiAlign would take each level's RoIs apart by their number, which depends on the data; it was slower too.

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

    def tabulate(self, pyramid: Sequence[Tensor]) -> PyramidTable:
        """See :class:`RoIFeatures`; sizes stay part of the graph."""
        rows = torch.cat([level.permute(0, 2, 3, 1).flatten(0, 2) for level in pyramid]).float()  # (R, C)
        sizes, offsets, first = [], [], 0
        for level in pyramid:
            batch, _, height, width = level.shape
            sizes += [height, width]
            offsets.append(first)
            first = first + batch * height * width
        return PyramidTable(rows, None, _stack(sizes).view(-1, 2).to(rows.dtype), _stack(offsets), pyramid[0].dtype)

    def _number(self, values: Tensor) -> Tensor:
        # Images and weights are finite here, and some runtimes and tools know no NaN.
        return values

    def pool(self, table: PyramidTable, boxes: Tensor) -> Tensor:
        """See :class:`RoIFeatures`."""
        indices, weights = self._bags(table, boxes)  # (B·N·P, Q)
        side, samples = self.output_size, indices.shape[1]
        indices = indices.view(-1, side, side, samples)
        weights = weights.view(-1, side, side, 1, samples)
        # A row of bins at a time: all at once would take as much memory as Q tables of RoI features.
        # (B·N, side, 1, C) each; by ``select``, as each step is traced and ``[:, row]`` is two.
        pooled = [weights.select(1, row) @ table.rows[indices.select(1, row)] for row in range(side)]
        return torch.stack(pooled, dim=1).flatten(1, 3).to(table.dtype)  # (B·N, P, C)


def _stack(numbers: Sequence[int]) -> Tensor:
    """Sizes, which a graph knows as symbols only, as a tensor (len(numbers),)."""
    return torch.stack([torch.scalar_tensor(number, dtype=torch.int64) for number in numbers])


def _shrink_before_norm(part: DynamicConv) -> None:
    """What the first kernel gives is normalised: as well 1/64 of it, whose squares are no larger than any float16.

    A normalisation in steps, as some runtimes have it, squares what may be 1,700 from the mean.
    """
    share = 2**-6
    layer, count = part.dynamic_layer, part.num_filter_params
    for weight in (layer.weight, layer.bias):
        weight[:count] *= share
    part.norm_in.eps *= share**2


def _fold(detector: SparseRCNN) -> None:
    try:
        fold_batch_norm(nn.Sequential(detector.backbone, detector.neck), blank_images(detector, 64, 64).uniform_(-1, 1))
    except UserError as error:
        raise UserError(f'--fp16 folds batch norm, which fails here ({error}): export without --fp16') from error
