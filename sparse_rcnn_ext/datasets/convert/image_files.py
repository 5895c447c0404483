"""Image files as the loader of a run sees them, and the lists that name them."""

from pathlib import Path

from PIL import Image

from sparse_rcnn_ext.errors import UserError

# What OpenCV reads, which mmcv loads images with.
SUFFIXES = frozenset({'.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp'})
ORIENTATION = 0x0112
QUARTER_TURNS = frozenset({5, 6, 7, 8})


def image_size(path: Path) -> tuple[int, int]:
    """Width and height in pixels, from the header alone.

    OpenCV turns a photograph as its EXIF orientation says, so width and height are those after the turn.

    Raises:
        OSError: If the file is missing or no image.
    """
    with Image.open(path) as image:
        width, height = image.size
        turned = image.getexif().get(ORIENTATION) in QUARTER_TURNS
    return (height, width) if turned else (width, height)


def stored_size(path: Path) -> tuple[int, int]:
    """Width and height in pixels before the turn."""
    with Image.open(path) as image:
        return image.size


def read_list(path: Path) -> list[str]:
    """The lines of a text file, without blanks around them and without empty ones.

    Raises:
        UserError: If it is no text.
    """
    try:
        lines = path.read_text(encoding='utf-8').splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f'{path} is no text in UTF-8 ({error.reason} at byte {error.start}): write it anew') from error
    return [line for line in map(str.strip, lines) if line]
