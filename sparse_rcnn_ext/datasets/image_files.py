"""Image files read in full, in threads, as the pipeline would; too large is told from damaged."""

import io
import os
import re
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from typing import NamedTuple

import cv2
import mmcv
from mmengine.fileio import get
from PIL import Image
from PIL.Image import DecompressionBombError
from tqdm import tqdm

MISSING = 'missing'
EMPTY = 'of 0 bytes'
DAMAGED = 'cut off or damaged'
NO_IMAGE = 'no image'
TOO_LARGE = 'too large'


class ImageRequest(NamedTuple):
    """A file and the way to read it."""

    path: str
    color_type: str
    decoder: str
    backend: tuple[tuple[str, object], ...]
    """The items of ``backend_args``."""


class ImageFile(NamedTuple):
    """What a file turned out to be."""

    problem: str | None
    """``MISSING``, ``EMPTY``, ``DAMAGED``, ``NO_IMAGE``, ``TOO_LARGE``, or None: it can be read."""
    width: int = 0
    height: int = 0
    """Pixels as the network gets them, so after the turn that EXIF asks for."""
    num_bytes: int = 0
    digest: str = ''
    """Equal for equal contents."""
    limit: tuple[str, str] = ('', '')
    """Of one that is too large: who says so, and what to do."""


class Reading(NamedTuple):
    """All files, and how long they took."""

    files: dict[ImageRequest, ImageFile]
    seconds: float
    threads: int

    def speed(self) -> str:
        """One line for people."""
        megabytes = sum(file.num_bytes for file in self.files.values()) / 1e6
        rate = len(self.files) / max(self.seconds, 1e-9)
        return (
            f'{len(self.files)} image files ({megabytes:.1f} MB) decoded in full in {self.seconds:.1f} s: '
            f'{rate:.0f} a second with {self.threads} threads'
        )


def read_images(requests: Sequence[ImageRequest], threads: int) -> Reading:
    """Read each file once, with a progress bar.

    Decoders let go of Python's lock, so threads share the cores.
    """
    requests = list(dict.fromkeys(requests))
    started = time.perf_counter()
    # What OpenCV says of broken files would tear the progress bar.
    log_level = cv2.setLogLevel(0)
    try:
        with ThreadPoolExecutor(threads) as pool:
            found = list(tqdm(pool.map(read_image, requests), 'images', len(requests), unit='img', mininterval=0.5))
    finally:
        cv2.setLogLevel(log_level)
    return Reading(dict(zip(requests, found, strict=True)), time.perf_counter() - started, threads)


def read_image(request: ImageRequest) -> ImageFile:
    """Read and decode one file."""
    try:
        content = get(request.path, backend_args=dict(request.backend) or None)
    except (FileNotFoundError, NotADirectoryError):
        return ImageFile(MISSING)
    # A name that no file can have is a ValueError.
    except (OSError, ValueError):
        return ImageFile(NO_IMAGE)
    digest = blake2b(content, digest_size=16).hexdigest()
    if not content:
        return ImageFile(EMPTY)
    try:
        pixels = mmcv.imfrombytes(content, flag=request.color_type, backend=request.decoder)
    except Exception as error:  # every decoder has errors of its own; training would stop at any of them
        if limit := over_limit(error):
            return ImageFile(TOO_LARGE, num_bytes=len(content), digest=digest, limit=limit)
        pixels = None
    if pixels is None:
        return ImageFile(DAMAGED if _is_known(content) else NO_IMAGE, num_bytes=len(content), digest=digest)
    return ImageFile(None, pixels.shape[1], pixels.shape[0], len(content), digest)


def default_threads() -> int:
    """One a core; more than 16 wait for the disk."""
    return min(16, os.cpu_count() or 1)


def _is_known(content: bytes) -> bool:
    """Whether the file begins as an image does."""
    try:
        Image.open(io.BytesIO(content)).close()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return False
    return True


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
