"""This project timed against mmdet's own SparseRCNN, in one run and in turns."""

from .charts import draw_growth
from .evaluation import measure_evaluation
from .growth import AXES, measure_growth
from .loading import measure_loading
from .machine import machine_facts
from .matching import BOXES, PROPOSALS, measure_matching
from .report import as_json, describe, write_markdown
from .result import Result
from .rows import rows_for
from .run import measure, measure_rows
from .settings import DTYPES, MODELS, Setting, settle
from .timing import Comparison

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
