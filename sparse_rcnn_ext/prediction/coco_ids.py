"""The numbers by which COCO's format names images and classes."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePath

from sparse_rcnn_ext.engine.errors import UserError

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

    Args:
        classes: Names of the classes, in the order of the labels.
        ann_file: COCO's format.
        sources: What will be read.

    Raises:
        UserError: If the file is none, or lacks a class or one of the images.
    """

    def __init__(self, classes: Sequence[str], ann_file: Path, sources: Sequence[Source]) -> None:
        super().__init__(classes)
        try:
            content = json.loads(ann_file.read_text(encoding='utf-8'))
            categories = {category['name']: category['id'] for category in content['categories']}
            images = {PurePath(image['file_name']): image['id'] for image in content['images']}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"--ids {ann_file} cannot be read in COCO's format ({error!r}): give an annotation file"
            ) from error
        for category in self.categories:
            if category['name'] not in categories:
                raise UserError(f'--ids {ann_file} has no class {category["name"]!r}: give a file with all of them')
            category['id'] = categories[category['name']]
        # Folders in file names count from elsewhere than the input does.
        counts = Counter(path.name for path in images)
        self._by_name = {path.name: number for path, number in images.items() if counts[path.name] == 1}
        for source in sources:
            if source.is_video or source.name.name not in self._by_name:
                raise UserError(f'--ids {ann_file} has no image, or several, of the name {source.name.name}')

    def next_image(self, source: Source) -> int:
        """The number that the file gives to the image."""
        return self._by_name[source.name.name]
