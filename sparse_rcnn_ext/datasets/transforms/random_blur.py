"""Blur with a small kernel."""

from collections.abc import Sequence

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness

from sparse_rcnn_ext.registry import TRANSFORMS

_BLURS = (
    lambda image, size: cv2.GaussianBlur(image, (size, size), 0),
    cv2.medianBlur,
    lambda image, size: cv2.blur(image, (size, size)),
)


@TRANSFORMS.register_module()
class RandomBlur(BaseTransform):
    """Blur by a Gaussian, a median or a box, all equally likely.

    Args:
        kernel_sizes: Odd widths of the kernel in pixels, all equally likely.
    """

    def __init__(self, kernel_sizes: Sequence[int] = (3, 5)) -> None:
        super().__init__()
        self.kernel_sizes = tuple(kernel_sizes)

    def transform(self, results: dict) -> dict:
        """Set ``img``, (H, W, 3) uint8."""
        kind, size = self._draw()
        results['img'] = _BLURS[kind](results['img'], size)
        return results

    @cache_randomness
    def _draw(self) -> tuple[int, int]:
        return np.random.randint(len(_BLURS)), int(np.random.choice(self.kernel_sizes))
