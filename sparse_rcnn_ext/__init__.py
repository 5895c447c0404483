"""Sparse R-CNN for MMDetection: models, matching, losses and training parts, registered under one scope.

Import this package before ``mmdet.models``: it supplies the one compiled module of mmcv that mmdet wants where mmcv
was installed without it. The parts themselves are imported when a config first names one.
"""

from importlib.util import find_spec

# Where mmengine is not installed, only what runs exported detectors can be used, and that needs none of this.
if find_spec('mmengine') is not None:
    from .import_hooks import install_import_hooks

    install_import_hooks()
