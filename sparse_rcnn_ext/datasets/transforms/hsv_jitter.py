"""Jitter of hue, saturation and value by random factors."""

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness

from sparse_rcnn_ext.registry import TRANSFORMS


@TRANSFORMS.register_module()
class HSVJitter(BaseTransform):
    """Multiply hue, saturation and value each by a factor drawn uniformly from 1 − gain … 1 + gain.

    mmdet's YOLOXHSVRandomAug adds whole numbers instead, the same to dark and to bright pixels.

    Args:
        hue: Gain of the hue, which is counted from red and goes round.
        saturation: Gain of the saturation.
        value: Gain of the value.
    """

    def __init__(self, hue: float = 0.014, saturation: float = 0.68, value: float = 0.36) -> None:
        super().__init__()
        self.gains = np.array([hue, saturation, value])

    def transform(self, results: dict) -> dict:
        """Set ``img``, (H, W, 3) uint8 BGR."""
        levels = np.rint(np.arange(256)[:, None] * self._draw_factors())  # (256, 3), new level of each old one
        levels[:, 0] %= 180  # OpenCV's hues: two degrees each
        levels = levels.clip(0, 255).astype(np.uint8)
        hsv = cv2.cvtColor(results['img'], cv2.COLOR_BGR2HSV)
        results['img'] = cv2.cvtColor(cv2.LUT(hsv, levels[None]), cv2.COLOR_HSV2BGR)
        return results

    @cache_randomness
    def _draw_factors(self) -> np.ndarray:
        return 1 + np.random.uniform(-1, 1, 3) * self.gains
