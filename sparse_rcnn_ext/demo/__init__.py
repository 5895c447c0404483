"""The web page of tools/demo.py. Its parts that need gradio are in ``page`` and ``server``."""

from .handlers import read_upload
from .scene import COLUMNS, Scene, View, look_at, require_stages, show

__all__ = ['COLUMNS', 'Scene', 'View', 'look_at', 'read_upload', 'require_stages', 'show']
