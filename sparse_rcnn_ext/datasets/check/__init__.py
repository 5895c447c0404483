"""Look into the data sets of a config before training on them."""

from sparse_rcnn_ext.datasets.image_files import default_threads

from .picture import draw_check
from .report import summarise, write_report
from .run import CheckResult, check_datasets

__all__ = ['CheckResult', 'check_datasets', 'default_threads', 'draw_check', 'summarise', 'write_report']
