"""What a user names as input, as a list of image files, video files and webcams."""

import glob
import os.path
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from typing import NamedTuple
from urllib.parse import urlsplit
from urllib.request import url2pathname

from mmdet.apis.det_inferencer import IMG_EXTENSIONS

from sparse_rcnn_ext.errors import UserError

VIDEO_EXTENSIONS = ('.mp4', '.m4v', '.mov', '.avi', '.mkv', '.webm', '.mpg', '.mpeg', '.wmv')


class Source(NamedTuple):
    """An image file, a video file or a webcam."""

    path: Path | int
    """The file; of a webcam its number."""
    name: PurePath
    """Relative; equal to that of no other source of the same list."""

    @property
    def is_video(self) -> bool:
        """Whether it has many frames."""
        return isinstance(self.path, int) or self.path.suffix.lower() in VIDEO_EXTENSIONS

    def __str__(self) -> str:
        return f'webcam {self.path}' if isinstance(self.path, int) else str(self.path)


def find_sources(inputs: Sequence[str], except_in: Path | None = None) -> tuple[list[Source], list[str]]:
    """Look the inputs up.

    An input is a file, a folder (all images and videos in it and below it, by name), a pattern such as
    ``'shots/**/*.jpg'``, a ``file://`` URL of any of these, or the number of a webcam (where no file or folder has that
    name). A file that is named twice is
    taken once. A file with another suffix than a known one counts as an image if it is named itself.

    Args:
        inputs: As typed.
        except_in: A folder that holds the pictures of an earlier run; folders and patterns pass it over.

    Returns:
        The sources in the order of the inputs, and a sentence for each input that leads to none. A file's name is its
        path below the folder that all files share.

    Raises:
        UserError: If an input is a URL of another kind.
    """
    found: dict[Path | int, Path | int] = {}
    problems = []
    for text in inputs:
        paths = list(_look_up(text, except_in))
        if not paths:
            problems.append(_explain(text))
        for path in paths:
            found.setdefault(_whole(path), path)
    files = [place for place in found if isinstance(place, Path)]
    shared = os.path.commonpath([place.parent for place in files]) if files else ''
    sources = [
        Source(path, PurePath(f'webcam-{path}') if isinstance(place, int) else place.relative_to(shared))
        for place, path in found.items()
    ]
    return sources, problems


def _whole(path: Path | int) -> Path | int:
    # Links stay as they are: their names are those that the user knows.
    return path if isinstance(path, int) else Path(os.path.normpath(path.absolute()))


def _look_up(text: str, except_in: Path | None) -> Iterator[Path | int]:
    path = Path(_local_path(text))
    if text.isdecimal() and not path.exists():
        yield int(text)
        return
    if path.is_file():
        yield path
        return
    # Path.glob takes relative patterns only.
    candidates = path.rglob('*') if path.is_dir() else map(Path, glob.iglob(str(path), recursive=True))  # noqa: PTH207
    for candidate in sorted(candidates):
        skipped = except_in is not None and _whole(candidate).is_relative_to(_whole(except_in))
        known = candidate.suffix.lower() in (*IMG_EXTENSIONS, *VIDEO_EXTENSIONS)
        if known and not skipped and candidate.is_file():
            yield candidate


def _local_path(text: str) -> str:
    if '://' not in text:
        return text
    url = urlsplit(text)
    if url.scheme != 'file' or url.netloc not in ('', 'localhost'):
        raise UserError(f'{text} is no URL of a local file (file:///…): download it first, and give its path')
    return url2pathname(url.path)


def _explain(text: str) -> str:
    path = Path(_local_path(text))
    if path.is_dir():
        return f'{text}: no image or video in this folder'
    if glob.has_magic(text):
        return f'{text}: no image or video fits this pattern'
    return f'{text}: there is no such file'
