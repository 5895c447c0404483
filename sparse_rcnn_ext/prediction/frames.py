"""The images of all sources, one after the other."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from .image_file import TooLargeError, UnreadableError
from .pipeline import LoadedImage
from .sources import Source
from .video_file import VideoReader


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
