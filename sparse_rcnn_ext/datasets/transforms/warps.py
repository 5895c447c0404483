"""Random warps with a real perspective term, also fitted into a canvas, and the boxes that they leave."""

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmdet.datasets.transforms import RandomAffine
from mmdet.structures.bbox import HorizontalBoxes, autocast_box_type

from sparse_rcnn_ext.registry import TRANSFORMS

_MAX_PERSPECTIVE = 0.15


@TRANSFORMS.register_module()
class RandomPerspective(RandomAffine):
    """mmdet's RandomAffine about the centre of the image, and seen from a random side.

    mmdet's turns and scales about the top left corner, which moves the image away, and its matrix is affine. Here a
    point (x, y), counted from the centre, first becomes (x, y) / (1 + px·x / (w/2) + py·y / (h/2)), where w and h are
    the sides of the result and px, py are drawn; then mmdet's scale, rotation, shear and shift follow. Image and boxes
    go through one matrix; a box becomes the box around its four corners.

    Args:
        max_rotate_degree: Bound of the angle.
        max_translate_ratio: Bound of the shift, in sides of the result.
        scaling_ratio_range: Bounds of the scale.
        max_shear_degree: Bound of the shear's angle, along x and along y.
        max_perspective: Bound of px and py; lengths at the border change by about that share. At most 0.15, so that
            the denominator stays positive up to three half sides from the centre: a mosaic's boxes reach so far.
        border: (x, y), added to the image on each side; negative for a mosaic, which is cut back to one image's size.
        border_val: Colour around the image.
        bbox_clip_border: False leaves the clipping to ``FilterBoxes``, which must see how much is cut off.

    Raises:
        ValueError: If ``max_perspective`` is out of bounds.
    """

    def __init__(
        self,
        max_rotate_degree: float = 10.0,
        max_translate_ratio: float = 0.1,
        scaling_ratio_range: tuple[float, float] = (0.5, 1.5),
        max_shear_degree: float = 2.0,
        max_perspective: float = 0.1,
        border: tuple[int, int] = (0, 0),
        border_val: tuple[int, int, int] = (114, 114, 114),
        bbox_clip_border: bool = True,
    ) -> None:
        super().__init__(
            max_rotate_degree,
            max_translate_ratio,
            scaling_ratio_range,
            max_shear_degree,
            border,
            border_val,
            bbox_clip_border,
        )
        if not 0 <= max_perspective <= _MAX_PERSPECTIVE:
            raise ValueError(f'max_perspective is {max_perspective}: give 0 to {_MAX_PERSPECTIVE}')
        self.max_perspective = max_perspective

    def draw_matrix(self, canvas: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
        """A random (3, 3) matrix from pixels of a canvas to pixels of a result, without it the middle of the canvas.

        Args:
            canvas: Width and height of what is warped.
            size: Width and height of the result.
        """
        center = np.array(size) / 2
        perspective = np.eye(3)
        perspective[2, :2] = self._draw_perspective() / center
        affine = super()._get_random_homography_matrix(size[1], size[0])
        to_center = self._get_translation_matrix(*(-np.array(canvas) / 2))
        return self._get_translation_matrix(*center) @ affine @ perspective @ to_center

    def move_boxes(self, results: dict, matrix: np.ndarray) -> None:
        """Send the boxes of ``results`` through a matrix, as :meth:`transform` does: those that end outside go.

        A few boxes are faster in numpy than in torch, whose every operation costs microseconds.

        Args:
            results: Has the warped image's ``img_shape`` and, of before, ``gt_bboxes``, ``gt_bboxes_labels`` and
                ``gt_ignore_flags``, which are replaced.
            matrix: (3, 3), from the boxes' pixels to those of the warped image.
        """
        height, width = results['img_shape']
        boxes = project_boxes(results['gt_bboxes'].numpy(), matrix)
        if self.bbox_clip_border:
            boxes = boxes.clip(0, [width, height, width, height])
        inside = is_inside(boxes, (width, height))
        results['gt_bboxes'] = HorizontalBoxes(boxes[inside])
        for key in ('gt_bboxes_labels', 'gt_ignore_flags'):
            results[key] = results[key][inside]

    def _get_random_homography_matrix(self, height: int, width: int) -> np.ndarray:
        canvas = (width - 2 * self.border[0], height - 2 * self.border[1])
        return self.draw_matrix(canvas, (width, height))

    @cache_randomness
    def _draw_perspective(self) -> np.ndarray:
        return np.random.uniform(-self.max_perspective, self.max_perspective, 2)

    def __repr__(self) -> str:
        return f'{super().__repr__()[:-1]}, max_perspective={self.max_perspective})'


def project_boxes(boxes: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """The boxes around the four corners of each, sent through a matrix.

    Args:
        boxes: (N, 4) xyxy.
        matrix: (3, 3).

    Returns:
        (N, 4) float32 xyxy.
    """
    corners = np.stack([boxes[:, [0, 2, 0, 2]], boxes[:, [1, 1, 3, 3]], np.ones_like(boxes)], axis=-1)  # (N, 4, 3)
    moved = corners @ matrix.T
    points = moved[..., :2] / moved[..., 2:]
    return np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1).astype(np.float32)


def is_inside(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(N,) bool, whether any part of each of the (N, 4) boxes lies in an image of this width and height."""
    return (boxes[:, :2] < size).all(axis=1) & (boxes[:, 2:] > 0).all(axis=1)


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
