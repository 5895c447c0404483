"""Detections in COCO's result format, written as they come."""

import json
from pathlib import Path

from mmengine.structures import InstanceData

from sparse_rcnn_ext.engine.errors import UserError

from .coco_ids import CocoIds
from .frames import Frame


class CocoFiles:
    """Writes two files: the detections, and the images and classes that they refer to.

    ``NAME.json`` is the list that pycocotools' ``loadRes`` takes. ``NAME.images.json`` is an annotation file without
    annotations: it tells which numbers stand for which files and classes, and which images have no detection. Both take
    their names when they are complete. Nothing is kept in memory.

    Args:
        path: Of the first file; ends in .json.
        ids: The numbers of images and classes.

    Raises:
        UserError: If the files cannot be made.
    """

    def __init__(self, path: Path, ids: CocoIds) -> None:
        self._ids = ids
        categories = json.dumps(ids.categories, ensure_ascii=False)
        start = f'{{"categories": {categories},\n"images": ['
        if path.is_dir():
            raise UserError(f'--json {path} is a folder: give a file')
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._detections = _JsonList(path, '[', ']')
            self._images = _JsonList(path.with_suffix('.images.json'), start, ']}')
        except OSError as error:
            raise UserError(f'cannot write --json {path}: {error.strerror}') from error

    def add(self, frame: Frame, detections: InstanceData) -> None:
        """Append an image.

        Args:
            frame: The image. Of a video, ``frame_id`` says which of its frames it is, from 0.
            detections: ``bboxes`` (D, 4) xyxy in pixels of the image, ``scores`` (D,), ``labels`` (D,).
        """
        height, width = frame.image.shape[:2]
        number = self._ids.next_image(frame.source)
        image = dict(id=number, file_name=frame.source.name.as_posix(), width=width, height=height)
        if frame.number is not None:
            image['frame_id'] = frame.number
        self._images.add(image)
        for (left, top, right, bottom), score, label in zip(
            detections.bboxes.tolist(), detections.scores.tolist(), detections.labels.tolist()
        ):
            self._detections.add(
                dict(
                    image_id=number,
                    category_id=self._ids.categories[label]['id'],
                    bbox=[round(value, 3) for value in (left, top, right - left, bottom - top)],
                    score=round(score, 6),
                )
            )

    def close(self) -> None:
        """Finish both files."""
        self._detections.close()
        self._images.close()


class _JsonList:
    """A JSON file whose list is written entry by entry."""

    def __init__(self, path: Path, start: str, end: str) -> None:
        self._path = path
        self._part = path.with_name(f'{path.name}.part')
        self._end = end
        self._separator = '\n'
        self._file = self._part.open('w', encoding='utf-8')
        self._file.write(start)

    def add(self, entry: dict) -> None:
        self._file.write(self._separator + json.dumps(entry, ensure_ascii=False))
        self._separator = ',\n'

    def close(self) -> None:
        self._file.write(f'\n{self._end}\n')
        self._file.close()
        self._part.replace(self._path)
