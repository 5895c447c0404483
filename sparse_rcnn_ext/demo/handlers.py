"""What happens on the page when an image is dropped, which is a stranger's file, or a slider moved."""

import json
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any, TypeVar

import cv2
import gradio as gr
from gradio.processing_utils import save_bytes_to_cache
from PIL import Image as PillowImage

from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.prediction import Predictor
from sparse_rcnn_ext.prediction.image_file import UnreadableError, read_image

from .scene import Scene, look_at, show

_JPEG = (cv2.IMWRITE_JPEG_QUALITY, 92, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)


class Handlers:
    """The model runs once an image; a slider only draws again what the visitor's session holds.

    Args:
        predictor: Of a Sparse R-CNN.
        folder: Where gradio keeps its files; pictures and results of all visitors go there, too.
        max_pixels: Of an image, at most.
    """

    def __init__(self, predictor: Predictor, folder: Path, max_pixels: int) -> None:
        self._predictor = predictor
        self._folder = str(folder)
        self._max_pixels = max_pixels

    def upload(self, path: str, stage: int, score_thr: float, with_rest: bool) -> list[Any]:
        """A file was dropped.

        Returns:
            Nothing for the upload field, what to say about the file, the session's scene, and what ``move`` returns.
            Of a file that is refused, only what to say.
        """
        try:
            image = read_upload(Path(path), self._max_pixels, self._predictor.read)
        except (UnreadableError, UserError) as error:
            return [None, f'<p class="problem" role="alert">{escape(str(error))}</p>', *[gr.skip()] * 6]
        scene = look_at(self._predictor, image, Path(path).name)
        width, height = scene.size
        note = f'<p>{escape(scene.name)}, {width}×{height} pixels</p>'
        return [None, note, scene, *self.move(scene, stage, score_thr, with_rest)]

    def move(self, scene: Scene | None, stage: int, score_thr: float, with_rest: bool) -> list[Any]:
        """A slider was moved, or the box ticked.

        Returns:
            The picture, its caption, the table's rows, and the buttons that hand out the detections and the picture.
            Nothing where no image was dropped yet, or long ago.
        """
        if scene is None:
            return [gr.skip()] * 5
        view = show(scene, int(stage), score_thr, with_rest)
        _, jpeg = cv2.imencode('.jpg', view.picture, _JPEG)
        name = f'{Path(scene.name).stem}.stage{int(stage)}'
        picture = save_bytes_to_cache(jpeg.tobytes(), f'{name}.jpg', self._folder)
        results = save_bytes_to_cache(json.dumps(view.results, indent=1).encode(), f'{name}.json', self._folder)
        return [
            picture,
            f'<p>{escape(view.caption)}</p>',
            view.rows,
            gr.update(value=results, interactive=bool(stage)),
            gr.update(value=picture, interactive=True),
        ]


Image = TypeVar('Image')

IMAGE_FORMATS = ('JPEG', 'PNG', 'WEBP', 'BMP', 'TIFF', 'GIF')
"""Of a JPEG 2000, two places of the header tell the size, and Pillow reads one of them, OpenCV the other."""

_MAX_RATIO = 100  # of the sides; resizing for the network leaves less than ten pixels, or none, of such a strip


def read_upload(path: Path, max_pixels: int, read: Callable[[Path], Image] = read_image) -> Image:
    """Read an image, unless it is too large.

    Args:
        path: The file.
        max_pixels: Width times height, at most. The header tells them: nothing larger is decoded.
        read: What reads it then, such as ``Predictor.read``.

    Returns:
        What ``read`` gives.

    Raises:
        UnreadableError: With a sentence for people that names the file.
    """
    width, height = _size(path)
    if width * height > max_pixels:
        raise UnreadableError(
            f'{path.name} has {width}×{height} pixels, and this page takes {max_pixels / 1e6:g} million: '
            'give a smaller one.'
        )
    if max(width, height) > _MAX_RATIO * min(width, height):
        raise UnreadableError(f'{path.name} has {width}×{height} pixels, which is too narrow a strip.')
    try:
        return read(path)
    except UnreadableError as error:
        raise UnreadableError(f'{path.name} cannot be read: {error}.') from error


def _size(path: Path) -> tuple[int, int]:
    """Width and height by the header."""
    try:
        with PillowImage.open(path, formats=IMAGE_FORMATS) as image:
            return image.size
    except PillowImage.DecompressionBombError as error:
        raise UnreadableError(f'{path.name} has far too many pixels.') from error
    except Exception as error:  # a crafted header can fail anywhere in Pillow
        raise UnreadableError(
            f'{path.name} is no image that this page can read: give a JPEG, PNG, WebP, BMP, TIFF or GIF.'
        ) from error
