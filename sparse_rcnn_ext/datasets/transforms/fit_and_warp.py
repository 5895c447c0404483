"""Resize, pad and warp an image in one go."""

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.structures.bbox import autocast_box_type

from sparse_rcnn_ext.registry import TRANSFORMS

_MARGIN = 2


@TRANSFORMS.register_module()
class FitAndWarp(BaseTransform):
    """Fit an image into a canvas, keeping its aspect, fill up on the right and below, and warp: each pixel is computed
    once.

    The result is that of mmdet's Resize and Pad and then ``warp``, with ``warp``'s border colour. What has to grow is
    interpolated once instead of twice. What has to shrink is resized first, as a warp reads four pixels only and would
    skip the others. Of the result, what lies outside the warped image is filled and not computed.

    Args:
        size: Width and height of the canvas and of the result.
        warp: Config of a :class:`~sparse_rcnn_ext.datasets.transforms.RandomPerspective`; its ``border`` is not used.
    """

    def __init__(self, size: tuple[int, int], warp: dict) -> None:
        super().__init__()
        self.size = tuple(size)
        self.warp = TRANSFORMS.build(warp)

    @autocast_box_type()
    def transform(self, results: dict) -> dict:
        """Set ``img`` and ``img_shape``; move ``gt_bboxes``, and drop those that end outside.

        Args:
            results: A sample with ``img`` (H, W, 3) uint8.
        """
        image = results['img']
        height, width = image.shape[:2]
        factor = min(self.size[0] / width, self.size[1] / height)
        # Rounded as mmcv does.
        fitted = int(width * factor + 0.5), int(height * factor + 0.5)
        matrix = self.warp.draw_matrix(self.size, self.size)
        if factor < 1:
            image = cv2.resize(image, fitted)
        growth = np.diag([fitted[0] / image.shape[1], fitted[1] / image.shape[0], 1])
        # The middle of a pixel is a half beside its number, for the resize but not for the warp.
        growth[:2, 2] = (growth.diagonal()[:2] - 1) / 2
        results['img'] = _warp(image, matrix @ growth, self.size, self.warp.border_val)
        results['img_shape'] = results['img'].shape[:2]
        # As Resize does, which comes before the warp.
        results['gt_bboxes'] = results['gt_bboxes'].clone()
        results['gt_bboxes'].clip_((height, width))
        self.warp.move_boxes(results, matrix @ np.diag([fitted[0] / width, fitted[1] / height, 1]))
        return results


def _warp(image: np.ndarray, matrix: np.ndarray, size: tuple[int, int], color: tuple[int, int, int]) -> np.ndarray:
    """cv2.warpPerspective, of the rectangle around the warped image only; the matrix must not turn it inside out."""
    height, width = image.shape[:2]
    corners = cv2.perspectiveTransform(np.array([[(0, 0), (width, 0), (0, height), (width, height)]], float), matrix)[0]
    left, top = (np.floor(corners.min(axis=0)).astype(int) - _MARGIN).clip(0, size).tolist()
    right, bottom = (np.ceil(corners.max(axis=0)).astype(int) + _MARGIN).clip((left, top), size).tolist()
    if right == left or bottom == top:
        return np.full((size[1], size[0], 3), color, image.dtype)
    shift = np.array([[1, 0, -left], [0, 1, -top], [0, 0, 1]])
    part = cv2.warpPerspective(image, shift @ matrix, (right - left, bottom - top), borderValue=color)
    return cv2.copyMakeBorder(part, top, size[1] - bottom, left, size[0] - right, cv2.BORDER_CONSTANT, value=color)
