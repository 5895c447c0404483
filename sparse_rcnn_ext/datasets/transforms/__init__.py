"""Transforms that mmdet lacks."""

from .beta_mixup import BetaMixUp
from .filter_boxes import FilterBoxes
from .fit_and_warp import FitAndWarp
from .halved_mosaic import HalvedMosaic
from .load_other_images import LoadOtherImages
from .load_reduced_image import LoadReducedImage
from .mosaic_and_warp import MosaicAndWarp
from .pixel_values import GaussianNoise, HSVJitter, RandomBlur
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
