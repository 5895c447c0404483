"""A COCO annotation file that was looked through when it was read."""

import json
from collections import Counter
from collections.abc import Sequence

from mmdet.datasets.api_wrappers import COCO
from mmengine.fileio import get

from sparse_rcnn_ext.engine.errors import UserError

_KEYS = {
    'categories': ('id', 'name'),
    'images': ('id', 'file_name', 'width', 'height'),
    'annotations': ('id', 'image_id', 'category_id', 'bbox'),
}
_NAMES_SHOWN = 20


class CocoFile(COCO):
    """mmdet's COCO, read with checks, and asked for categories in the order in which they are named.

    Where an annotation says nothing on ``iscrowd`` or ``area``, which pycocotools looks up without a default, it is no
    crowd and as large as its box.

    Args:
        path: The file, as mmengine's file backends know it.
        backend_args: Of the backend.

    Raises:
        UserError: If it is no COCO detection file, or an id or a category's name stands in it twice.
    """

    def __init__(self, path: str, backend_args: dict | None = None) -> None:
        super().__init__()
        self.path = path
        self.dataset = load_coco(path, backend_args)
        for annotation in self.dataset['annotations']:
            annotation.setdefault('iscrowd', 0)
            annotation.setdefault('area', annotation['bbox'][2] * annotation['bbox'][3])
        self.createIndex()
        # mmdet's names of the index that was made just now.
        self.img_ann_map, self.cat_img_map = self.imgToAnns, self.catToImgs

    @property
    def names(self) -> tuple[str, ...]:
        """The categories in the order of the file."""
        return tuple(category['name'] for category in self.dataset['categories'])

    def ids_of(self, classes: Sequence[str]) -> list:
        """The category ids of ``classes``, in that order: the place of an id is the label of its category.

        Raises:
            UserError: If the file lacks one. It lists what is missing and what the file has.
        """
        ids = {category['name']: category['id'] for category in self.dataset['categories']}
        missing = [name for name in classes if name not in ids]
        if missing:
            raise UserError(
                f"{self.path} lacks {len(missing)} of the config's {len(classes)} classes, {some_names(missing)}, and "
                f'has the categories {some_names(self.names)}: set metainfo.classes to names as the file writes them'
            )
        return [ids[name] for name in classes]


def load_coco(path: str, backend_args: dict | None = None) -> dict:
    """Read a COCO detection file as it is.

    Returns:
        Its content. Every category has ``id`` and ``name``, every image ``id``, ``file_name``, ``width`` and
        ``height`` (above 0), every annotation ``id``, ``image_id``, ``category_id`` and a ``bbox`` of four numbers
        (left, top, width, height in pixels; NaN is a number too); ids and names are unique.

    Raises:
        UserError: If it is not so.
    """
    try:
        content = json.loads(get(path, backend_args=backend_args))
    except FileNotFoundError:
        raise UserError(f'the annotation file {path} does not exist') from None
    except (ValueError, RecursionError) as error:
        raise UserError(f'{path} is empty, cut off or no JSON ({error}): write it anew') from None
    if not isinstance(content, dict):
        raise UserError(f'{path} holds a {type(content).__name__}: a COCO file is an object of {", ".join(_KEYS)}')
    for part, keys in _KEYS.items():
        entries = content.get(part)
        if not isinstance(entries, list):
            raise UserError(f'{path} has no list "{part}": it must be a COCO detection file')
        for number, entry in enumerate(entries):
            lacking = keys if not isinstance(entry, dict) else [key for key in keys if key not in entry]
            if lacking:
                raise UserError(f'entry {number} of "{part}" in {path} has no {" and no ".join(lacking)}: complete it')
        _refuse_repeated(path, part, 'id', [entry['id'] for entry in entries])
    _refuse_repeated(path, 'categories', 'name', [category['name'] for category in content['categories']])
    for image in content['images']:
        if not all(isinstance(image[side], (int, float)) and image[side] > 0 for side in ('width', 'height')):
            raise UserError(
                f'the image {image["file_name"]} in {path} is {image["width"]} wide and {image["height"]} high: '
                'write its size in pixels'
            )
    for number, annotation in enumerate(content['annotations']):
        box = annotation['bbox']
        if not isinstance(box, list) or len(box) != 4 or not all(isinstance(value, (int, float)) for value in box):
            raise UserError(
                f'entry {number} of "annotations" in {path} has the bbox {box}: write left, top, width and '
                'height in pixels'
            )
    return content


def some_names(names: Sequence[object]) -> str:
    """The names in quotes, the first 20 of many."""
    shown = ', '.join(repr(name) for name in names[:_NAMES_SHOWN]) or 'none'
    return shown if len(names) <= _NAMES_SHOWN else f'{shown} and {len(names) - _NAMES_SHOWN} more'


def _refuse_repeated(path: str, part: str, key: str, values: list) -> None:
    try:
        repeated = [value for value, count in Counter(values).items() if count > 1]
    except TypeError:
        raise UserError(
            f'"{part}" in {path} has an {key} that is a list or an object: write a number or a text'
        ) from None
    if repeated:
        raise UserError(
            f'"{part}" in {path} has {len(repeated)} {key}s more than once, {some_names(repeated)}: keep each once'
        )
