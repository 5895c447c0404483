"""Transforms that mmdet lacks."""

from .beta_mixup import BetaMixUp
from .filter_boxes import FilterBoxes
from .fit_and_warp import FitAndWarp
from .gaussian_noise import GaussianNoise
from .halved_mosaic import HalvedMosaic
from .hsv_jitter import HSVJitter
from .load_other_images import LoadOtherImages
from .load_reduced_image import LoadReducedImage
from .mosaic_and_warp import MosaicAndWarp
from .random_blur import RandomBlur
from .random_perspective import RandomPerspective

__all__ = [
    'BetaMixUp',
    'FilterBoxes',
    'FitAndWarp',
    'GaussianNoise',
    'HSVJitter',
    'HalvedMosaic',
    'LoadOtherImages',
    'LoadReducedImage',
    'MosaicAndWarp',
    'RandomBlur',
    'RandomPerspective',
]
