"""This project timed against mmdet's own SparseRCNN, in one run and in turns."""

from .evaluation import measure_evaluation
from .growth import AXES, draw_growth, measure_growth
from .loading import measure_loading
from .operations import BOXES, PROPOSALS, measure_matching
from .report import as_json, machine_facts, write_markdown
from .rows import measure, measure_rows, rows_for
from .settings import DTYPES, MODELS, Setting, describe, settle
from .timing import Comparison, Result

__all__ = [
    'AXES',
    'BOXES',
    'DTYPES',
    'MODELS',
    'PROPOSALS',
    'Comparison',
    'Result',
    'Setting',
    'as_json',
    'describe',
    'draw_growth',
    'machine_facts',
    'measure',
    'measure_evaluation',
    'measure_growth',
    'measure_loading',
    'measure_matching',
    'measure_rows',
    'rows_for',
    'settle',
    'write_markdown',
]
