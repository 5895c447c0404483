"""Transforms that mmdet lacks."""

from .beta_mixup import BetaMixUp
from .filter_boxes import FilterBoxes
from .gaussian_noise import GaussianNoise
from .hsv_jitter import HSVJitter
from .load_other_images import LoadOtherImages
from .random_blur import RandomBlur
from .random_perspective import RandomPerspective

__all__ = [
    'BetaMixUp',
    'FilterBoxes',
    'GaussianNoise',
    'HSVJitter',
    'LoadOtherImages',
    'RandomBlur',
    'RandomPerspective',
]
