"""Data sets and transforms that mmdet lacks, and what reads and checks annotations."""

from importlib import import_module

# Imported when asked for: mmdet takes seconds, and who converts annotations needs none of it.
_MODULES = dict(CocoDataset='coco_dataset', ImagePool='image_pool', PoolsImages='image_pool')

__all__ = ['CocoDataset', 'ImagePool', 'PoolsImages']


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(f'{__name__}.{_MODULES[name]}'), name)
