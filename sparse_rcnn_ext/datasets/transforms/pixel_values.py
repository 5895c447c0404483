"""Transforms of pixel values alone: noise as of a sensor in low light, jitter of colours, blur."""

from collections.abc import Sequence

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness

from sparse_rcnn_ext.registry import TRANSFORMS


@TRANSFORMS.register_module()
class GaussianNoise(BaseTransform):
    """Add normal noise, independent in every pixel and channel.

    Args:
        std_range: Bounds of the standard deviation, in grey levels of 255; drawn uniformly for each image.
    """

    def __init__(self, std_range: tuple[float, float] = (2.0, 15.0)) -> None:
        super().__init__()
        self.std_range = std_range

    def transform(self, results: dict) -> dict:
        """Set ``img``, (H, W, 3) uint8."""
        image = results['img']
        std, seed = self._draw()
        # OpenCV's generator takes a fifth of the time of numpy's, and is seeded by it.
        cv2.setRNGSeed(seed)
        noise = cv2.randn(np.empty(image.shape, np.int16), (0,) * 3, (std,) * 3)
        results['img'] = cv2.add(image, noise, dtype=cv2.CV_8U)
        return results

    @cache_randomness
    def _draw(self) -> tuple[float, int]:
        return np.random.uniform(*self.std_range), np.random.randint(2**31)


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
