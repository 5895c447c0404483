"""Images and videos with their detections drawn, written into a folder."""

from collections.abc import Sequence
from pathlib import Path, PurePath

import cv2
import numpy as np
from mmengine.structures import InstanceData

from sparse_rcnn_ext.engine.errors import UserError
from sparse_rcnn_ext.engine.out_folder import make_folder

from .drawing import draw_detections
from .frames import Frame
from .sources import Source
from .video_file import VideoWriter

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
