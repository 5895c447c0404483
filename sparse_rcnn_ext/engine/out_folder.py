"""Folders that tools write into."""

import os
from pathlib import Path

from .errors import UserError


def make_folder(path: Path, setting: str) -> None:
    """Make a folder, and those above it, where they are missing.

    Args:
        path: The folder.
        setting: What named it, for the message.

    Raises:
        UserError: If it cannot be made, or not be written into.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f'cannot make the folder {path} ({error.strerror}): name another one as {setting}') from error
    if not os.access(path, os.W_OK):
        raise UserError(f'cannot write into the folder {path}: name another one as {setting}')
