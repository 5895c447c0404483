"""Checkpoints of the official repository (https://github.com/PeizeSun/SparseR-CNN) made ours, and back."""

from .checkpoint_files import read_weights, read_weights_and_meta, write_official, write_ours
from .fitting_config import FittingConfig, ModelSizes, find_fitting_config, read_sizes
from .official_names import is_softmax, official_config, official_to_ours, ours_to_official

__all__ = [
    'FittingConfig',
    'ModelSizes',
    'find_fitting_config',
    'is_softmax',
    'official_config',
    'official_to_ours',
    'ours_to_official',
    'read_sizes',
    'read_weights',
    'read_weights_and_meta',
    'write_official',
    'write_ours',
]
