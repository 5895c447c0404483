"""Random affine warp with a real perspective term."""

import numpy as np
from mmcv.transforms.utils import cache_randomness
from mmdet.datasets.transforms import RandomAffine

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

    def _get_random_homography_matrix(self, height: int, width: int) -> np.ndarray:
        """The (3, 3) matrix from pixels of the image to pixels of the result, which has these sides."""
        center = np.array([width / 2, height / 2])
        perspective = np.eye(3)
        perspective[2, :2] = self._draw_perspective() / center
        affine = super()._get_random_homography_matrix(height, width)
        to_center = self._get_translation_matrix(*(np.array(self.border) - center))
        return self._get_translation_matrix(*center) @ affine @ perspective @ to_center

    @cache_randomness
    def _draw_perspective(self) -> np.ndarray:
        return np.random.uniform(-self.max_perspective, self.max_perspective, 2)

    def __repr__(self) -> str:
        return f'{super().__repr__()[:-1]}, max_perspective={self.max_perspective})'
