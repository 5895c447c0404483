"""Detections in COCO's result format, written as they come, and the numbers of images and classes in it."""

import json
import os.path
from collections import defaultdict
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path, PurePosixPath

from mmengine.structures import InstanceData

from sparse_rcnn_ext.errors import UserError

from .frames import Frame
from .sources import Source


class CocoIds:
    """Images and classes counted from 1.

    Args:
        classes: Names of the classes, in the order of the labels.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        self.categories = [dict(id=number, name=name) for number, name in enumerate(classes, start=1)]
        """As an annotation file lists them, in the order of the labels."""
        self._images = 0

    def next_image(self, source: Source) -> int:
        """The number of the next image; ``source`` is where it comes from."""
        self._images += 1
        return self._images


class AnnotationIds(CocoIds):
    """Images by file name and classes by name, numbered as an annotation file does: then detections can be scored.

    Folders in file names may count from elsewhere than the inputs do. So an image is known by the last part of its
    name, and where several share that, by as many parts before it as tell them apart.

    Args:
        classes: Names of the classes, in the order of the labels.
        ann_file: COCO's format.
        sources: What will be read.

    Raises:
        UserError: If the file is none, or lacks a class or one of the images, or two sources are the same image of it.
    """

    def __init__(self, classes: Sequence[str], ann_file: Path, sources: Sequence[Source]) -> None:
        super().__init__(classes)
        try:
            content = json.loads(ann_file.read_text(encoding='utf-8'))
            categories = {category['name']: category['id'] for category in content['categories']}
            images = [(_parts(image['file_name']), image['id']) for image in content['images']]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"--ids {ann_file} cannot be read in COCO's format ({error!r}): give an annotation file"
            ) from error
        for category in self.categories:
            if category['name'] not in categories:
                raise UserError(f'--ids {ann_file} has no class {category["name"]!r}: give a file with all of them')
            category['id'] = categories[category['name']]
        self._by_name = defaultdict(list)
        for parts, number in images:
            self._by_name[parts[-1:]].append((parts, number))
        taken = {}
        for source in sources:
            number = None if source.is_video else self._find(source)
            if number is None:
                raise UserError(
                    f'--ids {ann_file} has no image, or several, of the name {source.name.name}: give images that it '
                    'lists, in folders of the names that it has'
                )
            if number in taken:
                raise UserError(f'--ids {ann_file} has one image for {taken[number]} and {source}: give one of them')
            taken[number] = source

    def next_image(self, source: Source) -> int:
        """The number that the file gives to the image."""
        return self._find(source)

    def _find(self, source: Source) -> int | None:
        own = _parts(os.path.abspath(source.path))  # noqa: PTH100  (a link keeps its name)
        candidates = self._by_name[own[-1:]]
        if len(candidates) == 1:
            return candidates[0][1]
        ranks = [(_shared(parts, own), parts == own[-len(parts) :]) for parts, _ in candidates]
        best = max(ranks, default=None)
        return candidates[ranks.index(best)][1] if ranks.count(best) == 1 else None


def _parts(path: str) -> tuple[str, ...]:
    """Of a path, whichever system wrote it."""
    return PurePosixPath(path.replace('\\', '/')).parts


def _shared(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    """How many parts are the same, from the last one on."""
    pairs = zip(reversed(one), reversed(other))
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


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
