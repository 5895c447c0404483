"""Boxes that no detector could learn from after an image was cut or warped."""

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.structures.bbox import HorizontalBoxes, autocast_box_type

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
        # A few boxes are faster in numpy than in torch, whose every operation costs microseconds.
        whole = results['gt_bboxes'].numpy()
        height, width = results['img_shape']
        boxes = whole.clip(0, np.array([width, height, width, height], whole.dtype))
        sides, whole_sides = boxes[:, 2:] - boxes[:, :2], whole[:, 2:] - whole[:, :2]
        # Comparisons with NaN are false; infinite sides are no user's fault but a warp's.
        with np.errstate(invalid='ignore', over='ignore'):
            areas, whole_areas = sides.prod(axis=1), whole_sides.prod(axis=1)
            keep = (
                (sides.min(axis=1) >= self.min_side)
                & (sides.max(axis=1) <= self.max_aspect * sides.min(axis=1))
                & (areas >= self.min_visible * whole_areas)
                & np.isfinite(whole_areas)
            )
        results['gt_bboxes'] = HorizontalBoxes(boxes[keep])
        for key in ('gt_bboxes_labels', 'gt_ignore_flags'):
            results[key] = results[key][keep]
        return results
