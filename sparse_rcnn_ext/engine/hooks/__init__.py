"""Hooks that mmengine lacks."""

from .checkpoint_fit import CheckpointFitHook
from .class_names import ClassNamesHook

__all__ = ['CheckpointFitHook', 'ClassNamesHook']
