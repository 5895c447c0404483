"""The images of all sources, one after the other: files, videos and webcams."""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import cv2
import numpy as np

from sparse_rcnn_ext.errors import UserError

from .image_file import TooLargeError, UnreadableError
from .pipeline import LoadedImage
from .sources import Source


class Reader(Protocol):
    """Loads images for the network; see :class:`Predictor`."""

    def read(self, path: Path) -> LoadedImage: ...

    def take(self, image: np.ndarray) -> LoadedImage: ...


class Frame(NamedTuple):
    """An image, or one of a video's."""

    loaded: LoadedImage
    source: Source
    number: int | None = None
    """Place in the video, from 0; None: an image file."""
    fps: float | None = None
    """Of the video."""

    @property
    def image(self) -> np.ndarray:
        """(H, W, 3) uint8 BGR, for people."""
        return self.loaded.picture


def read_frames(reader: Reader, sources: Sequence[Source], report: Callable[[str, bool], None]) -> Iterator[Frame]:
    """Read one after the other, and hold none.

    Args:
        reader: Loads them.
        sources: What to read.
        report: Gets a sentence for each source that cannot be read, and whether that is for a limit that can be
            raised; the others go on.
    """
    for source in sources:
        try:
            if not source.is_video:
                yield Frame(reader.read(source.path), source)
                continue
            video = VideoReader(source.path)
            number = -1
            for number, image in enumerate(video):
                yield Frame(reader.take(image), source, number, video.fps)
            if number < 0:
                raise UnreadableError('no frame of this video can be read')
            if video.count is not None and number + 1 < video.count:
                report(f'{source}: only {number + 1} of {video.count} frames can be read', False)
        except UnreadableError as error:
            report(f'{source}: {error}', isinstance(error, TooLargeError))


def count_frames(sources: Sequence[Source]) -> int | None:
    """How many images there are; None where a source does not tell. Videos that cannot be read have none."""
    total = 0
    for source in sources:
        count = 1
        if source.is_video:
            try:
                reader = VideoReader(source.path)
            except UnreadableError:
                continue
            count = reader.count
            reader.close()
        if count is None:
            return None
        total += count
    return total


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
