"""Hooks that mmengine lacks."""

from .checkpoint_fit import CheckpointFitHook
from .class_names import ClassNamesHook
from .compile import CompileHook
from .cpu_memory import CpuMemoryHook
from .fast_inference import FastInferenceHook
from .report import ReportHook

__all__ = ['CheckpointFitHook', 'ClassNamesHook', 'CompileHook', 'CpuMemoryHook', 'FastInferenceHook', 'ReportHook']
