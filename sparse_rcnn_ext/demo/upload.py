"""Files from a stranger, as images; what is too much or no image is refused before it is decoded."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from PIL import Image as PillowImage

from sparse_rcnn_ext.prediction.image_file import UnreadableError, read_image

Image = TypeVar('Image')

FORMATS = ('JPEG', 'PNG', 'WEBP', 'BMP', 'TIFF', 'GIF')
"""Of a JPEG 2000, two places of the header tell the size, and Pillow reads one of them, OpenCV the other."""

_MAX_RATIO = 100  # of the sides; resizing for the network leaves less than ten pixels, or none, of such a strip


def read_upload(path: Path, max_pixels: int, read: Callable[[Path], Image] = read_image) -> Image:
    """Read an image, unless it is too large.

    Args:
        path: The file.
        max_pixels: Width times height, at most. The header tells them: nothing larger is decoded.
        read: What reads it then, such as ``Predictor.read``.

    Returns:
        What ``read`` gives.

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
        return read(path)
    except UnreadableError as error:
        raise UnreadableError(f'{path.name} cannot be read: {error}.') from error


def _size(path: Path) -> tuple[int, int]:
    """Width and height by the header."""
    try:
        with PillowImage.open(path, formats=FORMATS) as image:
            return image.size
    except PillowImage.DecompressionBombError as error:
        raise UnreadableError(f'{path.name} has far too many pixels.') from error
    except Exception as error:  # a crafted header can fail anywhere in Pillow
        raise UnreadableError(
            f'{path.name} is no image that this page can read: give a JPEG, PNG, WebP, BMP, TIFF or GIF.'
        ) from error
