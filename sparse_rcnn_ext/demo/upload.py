"""Files from a stranger, as images; what is too much or no image is refused before it is decoded."""

from pathlib import Path

import numpy as np
from PIL import Image

from sparse_rcnn_ext.prediction.image_file import UnreadableError, read_image

FORMATS = ('JPEG', 'PNG', 'WEBP', 'BMP', 'TIFF', 'GIF')
"""Of a JPEG 2000, two places of the header tell the size, and Pillow reads one of them, OpenCV the other."""

_MAX_RATIO = 100  # of the sides; resizing for the network leaves less than ten pixels, or none, of such a strip


def read_upload(path: Path, max_pixels: int) -> np.ndarray:
    """Read an image as :func:`~sparse_rcnn_ext.prediction.read_image` does, unless it is too large.

    Args:
        path: The file.
        max_pixels: Width times height, at most. The header tells them: nothing larger is decoded.

    Returns:
        (H, W, 3) uint8 BGR, turned as EXIF asks.

    Raises:
        UnreadableError: With a sentence for people that names the file.
    """
    width, height = _size(path)
    if width * height > max_pixels:
        raise UnreadableError(
            f'{path.name} has {width}×{height} pixels, and this page takes {max_pixels / 1e6:g} million: '
            'give a smaller one.'
        )
    if max(width, height) > _MAX_RATIO * min(width, height):
        raise UnreadableError(f'{path.name} has {width}×{height} pixels, which is too narrow a strip.')
    try:
        return read_image(path)
    except UnreadableError as error:
        raise UnreadableError(f'{path.name} cannot be read: {error}.') from error


def _size(path: Path) -> tuple[int, int]:
    """Width and height by the header."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            return image.size
    except Image.DecompressionBombError as error:
        raise UnreadableError(f'{path.name} has far too many pixels.') from error
    except Exception as error:  # a crafted header can fail anywhere in Pillow
        raise UnreadableError(
            f'{path.name} is no image that this page can read: give a JPEG, PNG, WebP, BMP, TIFF or GIF.'
        ) from error
