"""The font file that a user sets for what matplotlib's own font lacks."""

import os
from pathlib import Path

from .errors import UserError

FONT = 'SPARSE_RCNN_FONT'
"""The environment variable: pictures are drawn at the end of many tools, and their font is of the machine."""
# How TrueType, OpenType and collections of them begin.
_BEGINNINGS = (b'\x00\x01\x00\x00', b'OTTO', b'true', b'ttcf')


def font_file() -> str | None:
    """The path in ``SPARSE_RCNN_FONT``; None where it is not set, or empty.

    Raises:
        UserError: If there is no such file, or it is no font.
    """
    path = os.environ.get(FONT)
    if not path:
        return None
    try:
        with Path(path).open('rb') as file:
            begins = file.read(4)
    except OSError as error:
        reason = f'cannot be read ({error.strerror})'
    else:
        if begins in _BEGINNINGS:
            return path
        reason = 'is no font'
    raise UserError(f'{FONT} is {path}, which {reason}: set it to a .ttf, .otf or .ttc file, or unset it')
