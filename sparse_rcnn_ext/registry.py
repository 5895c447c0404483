"""Registries of this package: children of mmengine's roots under the scope ``sparse_rcnn_ext``.

A config names our parts as ``type='sparse_rcnn_ext.DIIHead'``; mmdet's parts keep their bare names, because
``default_scope`` stays ``'mmdet'``. Equal class names (mmdet has a ``DIIHead`` too) therefore never collide.
"""

from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import OPTIM_WRAPPERS as MMENGINE_OPTIM_WRAPPERS
from mmengine.registry import TASK_UTILS as MMENGINE_TASK_UTILS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import Registry

SCOPE = 'sparse_rcnn_ext'

# `locations` are imported when a config first names one of their parts.
MODELS = Registry('model', parent=MMENGINE_MODELS, scope=SCOPE, locations=['sparse_rcnn_ext.models'])
TASK_UTILS = Registry('task util', parent=MMENGINE_TASK_UTILS, scope=SCOPE, locations=['sparse_rcnn_ext.task_modules'])
OPTIM_WRAPPERS = Registry(
    'optim wrapper',
    parent=MMENGINE_OPTIM_WRAPPERS,
    scope=SCOPE,
    locations=['sparse_rcnn_ext.engine.speed.amp_optim_wrapper'],
)
DATASETS = Registry(
    'dataset', parent=MMENGINE_DATASETS, scope=SCOPE, locations=['sparse_rcnn_ext.datasets.coco_dataset']
)
TRANSFORMS = Registry(
    'transform', parent=MMENGINE_TRANSFORMS, scope=SCOPE, locations=['sparse_rcnn_ext.datasets.transforms']
)
HOOKS = Registry(
    'hook',
    parent=MMENGINE_HOOKS,
    scope=SCOPE,
    locations=['sparse_rcnn_ext.engine.hooks', 'sparse_rcnn_ext.report.hook'],
)
METRICS = Registry('metric', parent=MMENGINE_METRICS, scope=SCOPE, locations=['sparse_rcnn_ext.evaluation'])
