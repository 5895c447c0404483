"""Tables of configs that differ in one thing: what they are, and what came out."""

from .chart import draw_chart, draw_curves
from .outcome import Experiment, Outcome, Result, pick_ap, read_cost, read_result, write_json
from .report import as_json, duration, write_markdown
from .tables import (
    Row,
    Table,
    base_of,
    find_table,
    fingerprint,
    last_checkpoint_name,
    load_base,
    put_over,
    read_tables,
    training_length,
)

__all__ = [
    'Experiment',
    'Outcome',
    'Result',
    'Row',
    'Table',
    'as_json',
    'base_of',
    'draw_chart',
    'draw_curves',
    'duration',
    'find_table',
    'fingerprint',
    'last_checkpoint_name',
    'load_base',
    'pick_ap',
    'put_over',
    'read_cost',
    'read_result',
    'read_tables',
    'training_length',
    'write_json',
    'write_markdown',
]
