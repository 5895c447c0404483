"""Transforms that mmdet lacks."""

from .beta_mixup import BetaMixUp
from .loading import LoadOtherImages, LoadReducedImage
from .mosaics import HalvedMosaic, MosaicAndWarp
from .pixel_values import GaussianNoise, HSVJitter, RandomBlur
from .warps import FilterBoxes, FitAndWarp, RandomPerspective

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
