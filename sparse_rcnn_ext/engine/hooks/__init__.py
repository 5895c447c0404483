"""Hooks that mmengine lacks."""

from sparse_rcnn_ext.datasets.coco_file import HeldOutHook

from .atomic_checkpoint import AtomicCheckpointHook
from .class_names import ClassNamesHook
from .exact_resume import ExactResumeHook
from .finite_loss import FiniteLossHook
from .last_epochs_pipeline import LastEpochsPipelineHook
from .model_fit import CheckpointFitHook, ImageChannelsHook
from .pictures import PicturesHook
from .resume_changes import ResumeChangesHook
from .speed import CompileHook, CpuMemoryHook, FastInferenceHook, GarbageHook
from .stop_signal import StopSignalHook

__all__ = [
    'AtomicCheckpointHook',
    'CheckpointFitHook',
    'ClassNamesHook',
    'CompileHook',
    'CpuMemoryHook',
    'ExactResumeHook',
    'FastInferenceHook',
    'FiniteLossHook',
    'GarbageHook',
    'HeldOutHook',
    'ImageChannelsHook',
    'LastEpochsPipelineHook',
    'PicturesHook',
    'ResumeChangesHook',
    'StopSignalHook',
]
