"""Image files of any kind as the network wants them."""

from pathlib import Path

import cv2
import mmcv
import numpy as np
from PIL.Image import DecompressionBombError

from sparse_rcnn_ext.datasets.image_files import over_opencv_limit

_NO_IMAGE = 'no image, or one that is cut off or damaged'


class UnreadableError(Exception):
    """A file or camera that gives no image. Its text says why, in a few words."""


class TooLargeError(UnreadableError):
    """An image that the decoder could read, if it were allowed so many pixels."""


def read_image(path: Path) -> np.ndarray:
    """Read a file the way mmdet's test pipeline does, so that both see the same pixels.

    The turn that EXIF asks for is made. Grey becomes three equal channels, and of 16 bits the upper 8 are kept.
    Transparency is dropped: a transparent pixel has the colour that the file gives it. Only of TIFF does OpenCV blend
    it with black.

    Args:
        path: A file of any format that OpenCV reads, or a GIF; of one that moves, the first picture.

    Returns:
        (H, W, 3) uint8 BGR.

    Raises:
        UnreadableError: If there is no such file, or it is cut off, or no image; TooLargeError if it has more pixels
            than OpenCV or Pillow is set to read.
    """
    content = read_bytes(path)
    # OpenCV passes over the EXIF of WebP and before 4.12 reads no GIF; mmcv's other decoder does both.
    webp = content[:4] == b'RIFF' and content[8:12] == b'WEBP'
    backend = 'pillow' if webp or content[:4] == b'GIF8' else 'cv2'
    log_level = cv2.setLogLevel(0)
    try:
        image = mmcv.imfrombytes(content, flag='color', backend=backend)
    except Exception as error:  # every decoder has errors of its own
        raise explain(error) from error
    finally:
        cv2.setLogLevel(log_level)
    if image is None:
        raise UnreadableError(_NO_IMAGE)
    return np.ascontiguousarray(image)


def read_bytes(path: Path) -> bytes:
    """The content of a file; raises UnreadableError where there is none."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UnreadableError(error.strerror or str(error)) from error
    if not content:
        raise UnreadableError('the file is empty')
    return content


def explain(error: Exception) -> UnreadableError:
    """What the error of a decoder means for the file."""
    if isinstance(error, DecompressionBombError):
        return TooLargeError('Pillow takes no image so large: save WebP or GIF as PNG, which OpenCV reads')
    if remedy := over_opencv_limit(error):
        return TooLargeError(f'larger than OpenCV reads: {remedy}')
    return UnreadableError(_NO_IMAGE)
