"""Boxes that no detector could learn from after an image was cut or warped."""

import torch
from mmcv.transforms import BaseTransform
from mmdet.structures.bbox import autocast_box_type

from sparse_rcnn_ext.registry import TRANSFORMS


@TRANSFORMS.register_module()
class FilterBoxes(BaseTransform):
    """Clip boxes to the image and drop those of which too little is left; crowds like any other.

    Comes after a transform that was told not to clip (``bbox_clip_border=False``): a clipped box does not show how
    much was cut off. A box whose coordinates are not finite is dropped too.

    Args:
        min_side: Least width and height in pixels.
        max_aspect: Most that the longer side may be, in times of the shorter one.
        min_visible: Least share of the box's area that must lie in the image.
    """

    def __init__(self, min_side: float = 2.0, max_aspect: float = 20.0, min_visible: float = 0.2) -> None:
        super().__init__()
        self.min_side = min_side
        self.max_aspect = max_aspect
        self.min_visible = min_visible

    @autocast_box_type()
    def transform(self, results: dict) -> dict:
        """Set ``gt_bboxes`` and, with it, ``gt_bboxes_labels`` and ``gt_ignore_flags``.

        Args:
            results: A sample with ``img_shape``; its boxes are xyxy in pixels and may reach over the border.
        """
        whole = results['gt_bboxes']
        boxes = whole.clone()
        boxes.clip_(results['img_shape'])
        short, long = torch.minimum(boxes.widths, boxes.heights), torch.maximum(boxes.widths, boxes.heights)
        # Comparisons with NaN are false.
        keep = (
            (short >= self.min_side)
            & (long <= self.max_aspect * short)
            & (boxes.areas >= self.min_visible * whole.areas)
            & whole.areas.isfinite()
        )
        results['gt_bboxes'] = boxes[keep]
        for key in ('gt_bboxes_labels', 'gt_ignore_flags'):
            results[key] = results[key][keep.numpy()]
        return results
