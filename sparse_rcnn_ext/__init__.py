"""Sparse R-CNN for MMDetection: models, matching, losses and training parts, registered under one scope.

Import this package before ``mmdet.models``: it supplies the one compiled module of mmcv that mmdet wants where mmcv
was installed without it. The parts themselves are imported when a config first names one.
"""

from importlib.util import find_spec

# Where mmengine is not installed, only what runs exported detectors can be used, and that needs none of this.
if find_spec('mmengine') is not None:
    from . import opencv_check, portable_ops

    opencv_check.require_opencv()
    portable_ops.install()

    # What engine imports needs the two lines above.
    from .engine.safe_globals import register_safe_globals
    from .engine.safe_loading import install_safe_loading

    register_safe_globals()
    install_safe_loading()
