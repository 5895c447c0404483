"""Hooks that mmengine lacks."""

from sparse_rcnn_ext.datasets.held_out import HeldOutHook

from .atomic_checkpoint import AtomicCheckpointHook
from .checkpoint_fit import CheckpointFitHook
from .class_names import ClassNamesHook
from .compile import CompileHook
from .cpu_memory import CpuMemoryHook
from .exact_resume import ExactResumeHook
from .fast_inference import FastInferenceHook
from .finite_loss import FiniteLossHook
from .garbage import GarbageHook
from .image_channels import ImageChannelsHook
from .last_epochs_pipeline import LastEpochsPipelineHook
from .pictures import PicturesHook
from .report import ReportHook
from .resume_changes import ResumeChangesHook
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
    'ReportHook',
    'ResumeChangesHook',
    'StopSignalHook',
]
