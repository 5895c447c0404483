"""The images of all sources, one after the other."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from .image_file import TooLargeError, UnreadableError, read_image
from .sources import Source
from .video_file import VideoReader


class Frame(NamedTuple):
    """An image, or one of a video's."""

    image: np.ndarray
    """(H, W, 3) uint8 BGR."""
    source: Source
    number: int | None = None
    """Place in the video, from 0; None: an image file."""
    fps: float | None = None
    """Of the video."""


def read_frames(sources: Sequence[Source], report: Callable[[str, bool], None]) -> Iterator[Frame]:
    """Read one after the other, and hold none.

    Args:
        sources: What to read.
        report: Gets a sentence for each source that cannot be read, and whether that is for a limit that can be
            raised; the others go on.
    """
    for source in sources:
        try:
            if not source.is_video:
                yield Frame(read_image(source.path), source)
                continue
            reader = VideoReader(source.path)
            number = -1
            for number, image in enumerate(reader):
                yield Frame(image, source, number, reader.fps)
            if number < 0:
                raise UnreadableError('no frame of this video can be read')
            if reader.count is not None and number + 1 < reader.count:
                report(f'{source}: only {number + 1} of {reader.count} frames can be read', False)
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
