"""The whole detector as one graph, from normalised images to detections."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from sparse_rcnn_ext.engine.config.input_images import blank_images
from sparse_rcnn_ext.engine.speed.batch_norm_folding import fold_batch_norm
from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.models import SparseRCNN
from sparse_rcnn_ext.models.ablations import RoIAttention
from sparse_rcnn_ext.models.dii_head import ProposalSelfAttention
from sparse_rcnn_ext.models.post_process import top_detections

from .gathered_rois import GatheredRoIFeatures
from .plain_layers import PlainAttention, fix_same_padding, halve

INPUTS = ('images', 'sizes')
OUTPUTS = ('boxes', 'scores', 'labels')


class DetectionGraph(nn.Module):
    """What ``SparseRCNN.predict`` computes, in operators that every format has.

    But for ``clip_boxes``: a graph gives equally many boxes of every image, so whatever runs it clips and drops.

    Args:
        detector: Its weights are copied, its ``test_cfg`` counts.
        divisor: Heights and widths of the images will be multiples of this.
        half: Networks compute in float16 where :func:`~sparse_rcnn_ext.export.plain_layers.halve` says.

    Raises:
        UserError: If ``half`` is asked for and batch norm cannot be folded.
    """

    def __init__(self, detector: SparseRCNN, divisor: int, half: bool = False) -> None:
        super().__init__()
        detector = copy.deepcopy(detector).cpu().float().eval().requires_grad_(False)
        detector.roi_head.roi_features = GatheredRoIFeatures(detector.roi_head.roi_features)
        for part in detector.roi_head.modules():
            # Not any other's, which may have masks and more.
            if isinstance(part, (ProposalSelfAttention, RoIAttention)):
                part.attn = PlainAttention(part.attn)
        fix_same_padding(detector.backbone, divisor)
        if half:
            # Variances may be larger than any float16.
            _fold(detector)
            halve(detector)
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
        pyramid = self.detector.extract_feat(images)
        image_whwh = sizes.flip(1).repeat(1, 2).to(images.dtype)  # (B, 4)
        boxes, features, *prior = self.detector.rpn_head(image_whwh, pyramid)  # (B, N, 4), (B, N, C)
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


def _fold(detector: SparseRCNN) -> None:
    try:
        fold_batch_norm(nn.Sequential(detector.backbone, detector.neck), blank_images(detector, 64, 64).uniform_(-1, 1))
    except UserError as error:
        raise UserError(f'--fp16 folds batch norm, which fails here ({error}): export without --fp16') from error
