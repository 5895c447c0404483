"""Random affine warp with a real perspective term."""

import numpy as np
from mmcv.transforms.utils import cache_randomness
from mmdet.datasets.transforms import RandomAffine
from mmdet.structures.bbox import HorizontalBoxes

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
