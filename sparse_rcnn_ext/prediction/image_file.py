"""Image files of any kind as the network wants them."""

from pathlib import Path

import cv2
import mmcv
import numpy as np


class UnreadableError(Exception):
    """A file or camera that gives no image. Its text says why, in a few words."""


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
        UnreadableError: If there is no such file, or it is cut off, or no image.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UnreadableError(error.strerror or str(error)) from error
    if not content:
        raise UnreadableError('the file is empty')
    # OpenCV passes over the EXIF of WebP and before 4.12 reads no GIF; mmcv's other decoder does both.
    webp = content[:4] == b'RIFF' and content[8:12] == b'WEBP'
    backend = 'pillow' if webp or content[:4] == b'GIF8' else 'cv2'
    log_level = cv2.setLogLevel(0)
    try:
        image = mmcv.imfrombytes(content, flag='color', backend=backend)
    except Exception:  # every decoder has errors of its own
        image = None
    finally:
        cv2.setLogLevel(log_level)
    if image is None:
        raise UnreadableError('no image, or one that is cut off or damaged')
    return np.ascontiguousarray(image)
