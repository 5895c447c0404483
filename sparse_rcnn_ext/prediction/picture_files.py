"""Images and videos with their detections drawn, written into a folder.

By Pillow: matplotlib, which draws the sheets of ``sparse_rcnn_ext.visualization``, takes twenty times as long for an
image of 1920×1080.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path, PurePath

import cv2
import numpy as np
from mmengine.structures import InstanceData
from PIL import Image, ImageDraw, ImageFont

from sparse_rcnn_ext.engine.config.paths import make_folder
from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.visualization.fonts import font_families, font_runs
from sparse_rcnn_ext.visualization.palette import BLACK, color_of, ink_on

from .frames import Frame, VideoWriter
from .sources import Source

_KEPT_SUFFIXES = ('.jpg', '.jpeg', '.png')


class PictureFiles:
    """An image keeps its name and its format, if that is JPEG or PNG; others become PNG. A video becomes MP4.

    Args:
        folder: Where to; it is made where needed.
        sources: All that will be drawn.
        classes: Names of the classes.

    Raises:
        UserError: If a picture would replace one of the sources, or the folder cannot be written into.
    """

    def __init__(self, folder: Path, sources: Sequence[Source], classes: Sequence[str]) -> None:
        self._folder = folder
        self._classes = classes
        self._video: VideoWriter | None = None
        self._video_source: Source | None = None
        inputs = {source.path.resolve() for source in sources if isinstance(source.path, Path)}
        for source in sources:
            target = self._target(source)
            if target.resolve() in inputs:
                raise UserError(f'--out {folder} would overwrite {target}, an input: name another folder')
        make_folder(folder, '--out')

    def add(self, frame: Frame, detections: InstanceData) -> None:
        """Draw one image, or the next frame of a video.

        Args:
            frame: The image.
            detections: ``bboxes`` (D, 4) xyxy in pixels of the image, ``scores`` (D,) falling, ``labels`` (D,).

        Raises:
            UserError: If the file cannot be written.
        """
        picture = draw_detections(frame.image, detections, self._classes)
        if frame.source != self._video_source:
            self.close()
        target = self._target(frame.source)
        make_folder(target.parent, '--out')
        if frame.number is None:
            _write_image(target, picture)
            return
        if self._video is None:
            self._video = VideoWriter(target, frame.fps, picture.shape[1::-1])
            self._video_source = frame.source
        self._video.write(picture)

    def close(self) -> None:
        """Finish the video that is being written."""
        if self._video is not None:
            self._video.close()
            self._video = self._video_source = None

    def _target(self, source: Source) -> Path:
        return self._folder / _picture_name(source)


def _picture_name(source: Source) -> PurePath:
    if source.is_video:
        suffix = source.name.suffix
        # clip.avi and clip.mov stay apart.
        name = source.name.name if suffix.lower() == '.mp4' else f'{source.name.name}.mp4'
    else:
        name = source.name.name if source.name.suffix.lower() in _KEPT_SUFFIXES else f'{source.name.name}.png'
    return source.name.with_name(name)


def _write_image(path: Path, picture: np.ndarray) -> None:
    # Through Python, because OpenCV cannot open every name on every system.
    is_encoded, content = cv2.imencode(path.suffix, picture)
    try:
        if not is_encoded:
            raise OSError('OpenCV cannot encode it')
        path.write_bytes(content.tobytes())
    except OSError as error:
        raise UserError(f'cannot write the picture {path}: {error.strerror or error}') from error


Box = tuple[float, float, float, float]

_MIN_TEXT, _MAX_TEXT = 9, 60  # pixels
_SHARE_OF_IMAGE, _SHARE_OF_BOX = 1 / 75, 1 / 6  # the text's height at most, of the mean side
_TEXT_IN_SMALL_IMAGES = 12  # pixels, where the share of the image is less


def draw_detections(image: np.ndarray, detections: InstanceData, classes: Sequence[str]) -> np.ndarray:
    """A copy of the image with the boxes, the most confident on top.

    Args:
        image: (H, W, 3) uint8 BGR.
        detections: ``bboxes`` (D, 4) xyxy in pixels of the image, ``scores`` (D,) falling, ``labels`` (D,).
        classes: Names of the classes.

    Returns:
        (H, W, 3) uint8 BGR.
    """
    font_families(''.join(classes))  # tells what no font has, whatever is found in this image
    height, width = image.shape[:2]
    picture = Image.fromarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
    pen = ImageDraw.Draw(picture)
    shown = []
    for box, label, score in zip(detections.bboxes.tolist(), detections.labels.tolist(), detections.scores.tolist()):
        corners = _inside(box, width, height)
        shown.append((corners, _text_size(corners, image.shape[:2]), label, score))
    for corners, text_size, label, _ in reversed(shown):
        line = _line_width(text_size)
        # A thin black line on both sides shows the coloured one on any background.
        pen.rectangle(_grown(corners, 1), outline=BLACK, width=line + 2)
        pen.rectangle(corners, outline=color_of(label), width=line)
    taken: list[Box] = []
    labels = []
    for corners, text_size, label, score in shown:
        text = f'{classes[label]} {score:.2f}'.replace(' 0.', ' .')
        runs = [(run, _font(file, text_size)) for run, file in font_runs(text)]
        pad = _line_width(text_size) + 1
        size = (sum(font.getlength(run) for run, font in runs) + 2 * pad, text_size + 2 * pad)
        spot = _free_spot(corners, size, (width, height), taken)
        taken.append(spot)
        labels.append((spot, runs, pad, color_of(label)))
    for spot, runs, pad, color in reversed(labels):
        pen.rectangle(spot, fill=color)
        left = spot[0] + pad
        for run, font in runs:
            pen.text((left, (spot[1] + spot[3]) / 2), run, fill=ink_on(color), font=font, anchor='lm')
            left += font.getlength(run)
    return cv2.cvtColor(np.asarray(picture), cv2.COLOR_RGB2BGR)


def _text_size(box: Box, image: tuple[int, int]) -> int:
    of_image = max(_SHARE_OF_IMAGE * sum(image) / 2, _TEXT_IN_SMALL_IMAGES)
    of_box = _SHARE_OF_BOX * ((box[2] - box[0]) * (box[3] - box[1])) ** 0.5
    return int(np.clip(min(of_image, of_box), _MIN_TEXT, _MAX_TEXT))


def _line_width(text_size: int) -> int:
    return max(1, round(text_size / 7))


@lru_cache
def _font(file: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(file, size)


def _inside(box: Sequence[float], width: int, height: int) -> Box:
    xs = sorted(min(max(x, 0), width - 1) for x in box[::2])
    ys = sorted(min(max(y, 0), height - 1) for y in box[1::2])
    return xs[0], ys[0], xs[1], ys[1]


def _grown(box: Box, by: float) -> Box:
    return box[0] - by, box[1] - by, box[2] + by, box[3] + by


def _free_spot(box: Box, size: tuple[float, float], image: tuple[int, int], taken: Sequence[Box]) -> Box:
    """Where a label hides the least: above the box, below it, or in one of its upper corners."""
    width, height = size
    lefts_and_tops = (
        (box[0], box[1] - height),
        (box[0], box[3]),
        (box[0], box[1]),
        (box[2] - width, box[1]),
        (box[2] - width, box[1] - height),
    )
    spots = []
    for left, top in lefts_and_tops:
        left = max(0, min(left, image[0] - width))
        top = max(0, min(top, image[1] - height))
        spots.append((left, top, left + width, top + height))
    return min(spots, key=lambda spot: sum(_shared(spot, other) for other in taken))


def _shared(one: Box, other: Box) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(width, 0) * max(height, 0)
