"""Images that a decoder could read, if it were allowed so many pixels: not damaged, and not to be taken for it."""

import re

from PIL.Image import DecompressionBombError

# As OpenCV's error has the comparison that failed.
_OF_OPENCV = re.compile(r'<= CV_(IO_MAX_IMAGE_(?:PIXELS|WIDTH|HEIGHT))')


def over_opencv_limit(error: Exception) -> str | None:
    """What raises OpenCV's limit, where ``error`` says that an image is over it; else None.

    Args:
        error: Of a decoder.

    Returns:
        An order with the environment variable that OpenCV reads when it is imported.
    """
    limit = _OF_OPENCV.search(str(error))
    return f'set the environment variable OPENCV_{limit[1]} to a larger number' if limit else None


def over_limit(error: Exception) -> tuple[str, str] | None:
    """Who takes no image so large, and what to do; None where ``error`` is another.

    Args:
        error: Of OpenCV, or of Pillow, whose limit keeps a small file from filling the memory.

    Returns:
        ``'larger than OpenCV reads'`` or ``'larger than Pillow reads'``, and an order.
    """
    if isinstance(error, DecompressionBombError):
        return 'larger than Pillow reads', "let imdecode_backend='cv2' read it, or make it smaller"
    remedy = over_opencv_limit(error)
    return remedy and ('larger than OpenCV reads', remedy)
