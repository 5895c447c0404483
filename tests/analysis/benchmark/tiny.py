"""A model so small that every measurement takes a moment."""

from pathlib import Path

from tests.models.small_model import small_config

TINY = {'model.backbone.depth': 18, 'model.neck.in_channels': [4, 8, 16, 32], 'model.roi_head.num_stages': 2}


def write_tiny_model(folder: Path) -> Path:
    """Write its config into a folder."""
    path = folder / 'tiny.py'
    small_config(TINY).dump(path)
    return path
