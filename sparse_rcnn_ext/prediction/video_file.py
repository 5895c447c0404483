"""Videos and webcams, frame by frame."""

import math
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from sparse_rcnn_ext.engine.errors import UserError

from .image_file import UnreadableError

DEFAULT_FPS = 25.0  # of cameras that do not tell


class VideoReader:
    """Reads with OpenCV; holds one frame at a time.

    Args:
        source: A file, or the number of a webcam.

    Raises:
        UnreadableError: If it cannot be opened.
    """

    def __init__(self, source: Path | int) -> None:
        log_level = cv2.setLogLevel(0)
        self._capture = cv2.VideoCapture(source if isinstance(source, int) else str(source))
        cv2.setLogLevel(log_level)
        if not self._capture.isOpened():
            raise UnreadableError('no such camera' if isinstance(source, int) else 'no video that OpenCV can read')
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps: float = fps if math.isfinite(fps) and fps > 0 else DEFAULT_FPS
        """Frames a second."""
        count = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.count: int | None = count if count > 0 and not isinstance(source, int) else None
        """How many frames the file says that it has; None: unknown."""

    def __iter__(self) -> Iterator[np.ndarray]:
        """Frames (H, W, 3) uint8 BGR, turned as the file asks."""
        try:
            while True:
                is_there, frame = self._capture.read()
                if not is_there:
                    return
                yield frame
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the file or camera."""
        self._capture.release()


class VideoWriter:
    """Writes MPEG-4 video (mp4v), without sound.

    Args:
        path: A file that ends in .mp4; its folder exists.
        fps: Frames a second.
        size: Width and height of all frames in pixels.

    Raises:
        UserError: If OpenCV cannot write it.
    """

    def __init__(self, path: Path, fps: float, size: tuple[int, int]) -> None:
        self._size = size
        self._writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), fps, size)
        if not self._writer.isOpened():
            raise UserError(f'cannot write the video {path}: see that its folder can be written to, and has room')

    def write(self, frame: np.ndarray) -> None:
        """Append a frame (H, W, 3) uint8 BGR."""
        if frame.shape[1::-1] != self._size:
            # OpenCV would leave it out without a word.
            frame = cv2.resize(frame, self._size, interpolation=cv2.INTER_AREA)
        self._writer.write(frame)

    def close(self) -> None:
        """Finish the file."""
        self._writer.release()
