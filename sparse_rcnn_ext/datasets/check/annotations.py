"""Read a COCO annotation file as it is, whatever is broken in it."""

import json
import math
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from mmengine.fileio import get

from sparse_rcnn_ext.datasets.coco_file import part_of
from sparse_rcnn_ext.errors import UserError


class ImageEntry(NamedTuple):
    """One image as the file describes it."""

    id: Hashable
    file_name: str
    width: float
    height: float


@dataclass(frozen=True)
class Annotations:
    """Images, categories and boxes of a file.

    ``M`` boxes, in the order of the file; an entry that is no box is one of them, with NaN for what it lacks.
    """

    images: list[ImageEntry]
    """As pycocotools keeps them: of equal ids the last, at the place of the first."""
    category_names: list[str]
    """By position; the annotations' category ids are turned into such positions."""
    broken_categories: list[str]
    broken_images: list[str]
    """What the entries without a usable id, name, file name, width or height are called."""
    repeated_images: list[Hashable]
    """Every id after its first appearance."""
    repeated_boxes: list[Hashable]
    repeated_categories: list[str]
    """Names or ids of categories that stand more than once."""
    image: np.ndarray
    """(M,) position of each box's image in ``images``, -1 if not there."""
    category: np.ndarray
    """(M,) position of each box's category in ``category_names``, -1 if not there."""
    xywh: np.ndarray
    """(M, 4) left, top, width, height in pixels."""
    area: np.ndarray
    """(M,) square pixels, as the file says; without that, of the box."""
    broken: np.ndarray
    """(M,) whether the entry lacks an id, an image id, a category id or four numbers as ``bbox``."""
    crowd: np.ndarray
    ignore: np.ndarray
    """(M,) whether the entry is marked ``iscrowd``, or ``ignore``."""
    numbered_0: np.ndarray
    """(M,) whether the entry has the id 0."""
    no_area: np.ndarray
    no_crowd: np.ndarray
    """(M,) whether the entry says nothing on ``area``, or ``iscrowd``; not all code has a default for that."""


def read_annotations(
    path: str, backend_args: dict | None, held_out: dict | None = None, trains: bool = True
) -> Annotations:
    """Read a file.

    Args:
        path: Where it lies, for mmengine's file backend.
        backend_args: Of that backend.
        held_out: Of the data set: a part of the images, and their boxes.
        trains: Whether it is learned from; otherwise the list of annotations may be missing.

    Raises:
        UserError: If it is no JSON, or has no list of images, of categories or of annotations.
    """
    content = _load(path, backend_args, trains)
    if held_out:
        _keep_part(content, held_out)
    images, broken_images = {}, []
    for number, entry in enumerate(content['images']):
        image = _image_entry(entry)
        if image is None:
            broken_images.append(_called(entry, 'file_name', f'entry {number} of images'))
        else:
            images.setdefault(image.id, []).append(image)
    categories = [entry for entry in content['categories'] if _is_category(entry)]
    broken_categories = [
        _called(entry, 'name', f'entry {number} of categories')
        for number, entry in enumerate(content['categories'])
        if not _is_category(entry)
    ]
    positions = {entry['id']: position for position, entry in enumerate(categories)}
    boxes = [_box_row(entry) for entry in content['annotations']]
    image_positions = {image_id: position for position, image_id in enumerate(images)}
    numbers = np.array([box.numbers for box in boxes], dtype=np.float64).reshape(-1, 5)
    return Annotations(
        images=[entries[-1] for entries in images.values()],
        category_names=[entry['name'] for entry in categories],
        broken_categories=broken_categories,
        broken_images=broken_images,
        repeated_images=[image_id for image_id, entries in images.items() for _ in entries[1:]],
        repeated_boxes=_repeated(box.id for box in boxes if not box.broken),
        repeated_categories=[
            *_repeated(entry['name'] for entry in categories),
            *(f'id {category_id}' for category_id in _repeated(entry['id'] for entry in categories)),
        ],
        image=np.array([image_positions.get(box.image_id, -1) for box in boxes], dtype=np.int64),
        category=np.array([positions.get(box.category_id, -1) for box in boxes], dtype=np.int64),
        xywh=numbers[:, :4],
        area=numbers[:, 4],
        broken=np.array([box.broken for box in boxes], dtype=bool),
        crowd=np.array([box.crowd for box in boxes], dtype=bool),
        ignore=np.array([box.ignore for box in boxes], dtype=bool),
        numbered_0=np.array([box.id == 0 for box in boxes], dtype=bool),
        no_area=np.array([box.no_area for box in boxes], dtype=bool),
        no_crowd=np.array([box.no_crowd for box in boxes], dtype=bool),
    )


class _Box(NamedTuple):
    id: Hashable
    image_id: Hashable
    category_id: Hashable
    numbers: tuple[float, float, float, float, float]
    broken: bool
    crowd: bool
    ignore: bool
    no_area: bool
    no_crowd: bool


def _load(path: str, backend_args: dict | None, trains: bool) -> dict:
    try:
        content = json.loads(get(path, backend_args=backend_args))
    except FileNotFoundError:
        raise UserError(f'the annotation file {path} does not exist') from None
    except OSError as error:
        raise UserError(f'the annotation file {path} cannot be read: {error.strerror or error}') from None
    except (ValueError, RecursionError) as error:
        raise UserError(f'the annotation file {path} is empty, cut off or no JSON ({error}): write it anew') from None
    if not isinstance(content, dict):
        raise UserError(f'the annotation file {path} holds a {type(content).__name__}, not the object of a COCO file')
    if not trains:
        content.setdefault('annotations', [])
    for key in ('images', 'annotations', 'categories'):
        if not isinstance(content.get(key), list):
            raise UserError(f'the annotation file {path} has no list "{key}": it must be a COCO detection file')
    return content


def _keep_part(content: dict, held_out: dict) -> None:
    usable = [entry for entry in content['images'] if _image_entry(entry)]
    kept = {entry['id'] for entry in part_of(usable, **held_out)}
    others = {entry['id'] for entry in usable} - kept
    for part, key in (('images', 'id'), ('annotations', 'image_id')):
        # What is broken belongs to both parts.
        content[part] = [
            entry
            for entry in content[part]
            if not (isinstance(entry, dict) and _has_id(entry, key) and entry[key] in others)
        ]


def _image_entry(entry: object) -> ImageEntry | None:
    if not isinstance(entry, dict) or not isinstance(entry.get('file_name'), str) or not _has_id(entry, 'id'):
        return None
    width, height = _number(entry.get('width')), _number(entry.get('height'))
    # Not `<=`: NaN is no size either.
    if not width > 0 or not height > 0:
        return None
    return ImageEntry(entry['id'], entry['file_name'], width, height)


def _is_category(entry: object) -> bool:
    return isinstance(entry, dict) and _has_id(entry, 'id') and isinstance(entry.get('name'), str)


def _box_row(entry: object) -> _Box:
    entry = entry if isinstance(entry, dict) else {}
    bbox = entry.get('bbox')
    bbox = bbox if isinstance(bbox, list) and len(bbox) == 4 else [None] * 4
    numbers = [_number(value) for value in bbox]
    no_area = 'area' not in entry
    values = [*bbox, 0 if no_area else entry['area']]
    ids = [entry[key] if _has_id(entry, key) else ... for key in ('id', 'image_id', 'category_id')]
    return _Box(
        *ids,
        numbers=(*numbers, numbers[2] * numbers[3] if no_area else _number(entry['area'])),
        broken=... in ids or not all(isinstance(value, (int, float)) for value in values),
        crowd=bool(entry.get('iscrowd')),
        ignore=bool(entry.get('ignore')),
        no_area=no_area,
        no_crowd='iscrowd' not in entry,
    )


def _has_id(entry: dict, key: str) -> bool:
    # Text and None are as good as numbers; lists and objects are not.
    return key in entry and isinstance(entry[key], Hashable)


def _called(entry: object, key: str, otherwise: str) -> str:
    entry = entry if isinstance(entry, dict) else {}
    name = entry.get(key) or entry.get('id')
    return otherwise if name is None else str(name)


def _number(value: object) -> float:
    try:
        return float(value) if isinstance(value, (int, float)) else math.nan
    except OverflowError:
        return math.inf


def _repeated(ids: object) -> list:
    return [item for item, count in Counter(ids).items() for _ in range(count - 1)]
