"""What becomes of each image and box: used in training (or evaluation), or left out, and why."""

from enum import Enum

import numpy as np

from .annotations import Annotations
from .sources import Source


class ImageFate(Enum):
    """Why an image is used or not."""

    USED = 'used'
    EMPTY = 'left out: no box of the classes (filter_empty_gt)'
    SMALL = 'left out: a side below min_size'
    NOT_CHOSEN = 'left out: not among indices'


class BoxFate(Enum):
    """Why a box is kept or dropped. Of several reasons the first counts."""

    KEPT = 'kept'
    BROKEN = 'broken entry'
    NO_IMAGE = 'image not in the file'
    IGNORED = 'marked "ignore"'
    UNKNOWN = 'unknown category'
    OTHER_CLASS = 'class not in the config'
    NOT_FINITE = 'NaN or infinite'
    NO_AREA = 'zero area'
    OUTSIDE = 'outside its image'
    TINY = 'under 1 px wide or high'
    UNUSED_IMAGE = 'image left out'
    CROWD = 'crowd'


def class_labels(source: Source, annotations: Annotations) -> np.ndarray:
    """The label that the data set gives each category: its place in the classes of the config.

    Returns:
        By position in ``annotations.category_names``; -1: not among the classes.
    """
    places = {name: label for label, name in enumerate(source.classes)}
    if not source.by_name:
        # mmdet's CocoDataset counts the categories that it wants in the order of the file.
        wanted = [name for name in annotations.category_names if name in places]
        places = {name: label for label, name in enumerate(wanted)}
    return np.array([places.get(name, -1) for name in annotations.category_names], dtype=np.int64)


def box_fates(source: Source, annotations: Annotations) -> np.ndarray:
    """(M,) :class:`BoxFate` of each box by itself, as if every image were used."""
    known = annotations.category >= 0
    labels = np.append(class_labels(source, annotations), -1)[annotations.category]
    x, y, width, height = annotations.xywh.T
    sizes = np.array([(image.width, image.height) for image in annotations.images]).reshape(-1, 2)
    # Where the image is not in the file, any size will do: that reason comes first.
    image_width, image_height = np.vstack([sizes, [[1, 1]]])[annotations.image].T
    with np.errstate(invalid='ignore'):
        shared_width = np.minimum(x + width, image_width) - np.maximum(x, 0)
        shared_height = np.minimum(y + height, image_height) - np.maximum(y, 0)
    rules = {
        # mmdet's CocoDataset has no default for the area.
        BoxFate.BROKEN: annotations.broken | (annotations.no_area & (not source.by_name)),
        BoxFate.NO_IMAGE: annotations.image < 0,
        # Ours takes them for crowds.
        BoxFate.IGNORED: annotations.ignore & (not source.by_name),
        BoxFate.UNKNOWN: ~known,
        BoxFate.OTHER_CLASS: labels < 0,
        BoxFate.NOT_FINITE: ~np.isfinite(annotations.xywh).all(axis=1),
        BoxFate.NO_AREA: (width <= 0) | (height <= 0) | (annotations.area <= 0),
        BoxFate.OUTSIDE: (shared_width <= 0) | (shared_height <= 0),
        BoxFate.TINY: (width < 1) | (height < 1),
        BoxFate.CROWD: (annotations.crowd | annotations.ignore) & (not source.use_crowd),
    }
    return _first_true(rules, BoxFate.KEPT)


def image_fates(source: Source, annotations: Annotations) -> np.ndarray:
    """(N,) :class:`ImageFate` of each image."""
    sides = np.array([min(image.width, image.height) for image in annotations.images])
    labels = np.append(class_labels(source, annotations), -1)[annotations.category]
    has_box = np.zeros(len(sides), dtype=bool)
    # Any box of the classes saves its image, one that is dropped for its shape too: so it is in mmdet.
    has_box[annotations.image[(labels >= 0) & (annotations.image >= 0)]] = True
    rules = {
        ImageFate.EMPTY: source.drop_empty & ~has_box,
        ImageFate.SMALL: sides < source.min_size,
    }
    fates = _first_true(rules, ImageFate.USED)
    if source.indices is not None:
        left = np.flatnonzero(fates == ImageFate.USED)
        chosen = _choose(left, source.indices)
        fates[np.setdiff1d(left, chosen)] = ImageFate.NOT_CHOSEN
    return fates


def _choose(places: np.ndarray, indices: int | tuple[int, ...]) -> np.ndarray:
    if isinstance(indices, tuple):
        return places[list(indices)]
    return places[:indices] if indices >= 0 else places[indices:]


def _first_true(rules: dict[Enum, np.ndarray], otherwise: Enum) -> np.ndarray:
    return np.select(list(rules.values()), [np.array(fate, dtype=object) for fate in rules], otherwise)
