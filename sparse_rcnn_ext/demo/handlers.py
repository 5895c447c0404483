"""What happens on the page when an image is dropped or a slider moved."""

import json
from html import escape
from pathlib import Path
from typing import Any

import cv2
import gradio as gr
from gradio.processing_utils import save_bytes_to_cache

from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.prediction import Predictor, UnreadableError

from .scene import Scene, look_at
from .upload import read_upload
from .view import show

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
