"""The web page of tools/demo.py. Its parts that need gradio are in ``page`` and ``server``."""

from .scene import Scene, look_at, require_stages
from .upload import read_upload
from .view import COLUMNS, View, show

__all__ = ['COLUMNS', 'Scene', 'View', 'look_at', 'read_upload', 'require_stages', 'show']
