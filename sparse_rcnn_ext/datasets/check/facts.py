"""What is known of one data set, the numbers that follow, and which images and boxes are used, or why not."""

from collections import defaultdict
from dataclasses import dataclass
from enum import Enum

import numpy as np

from sparse_rcnn_ext.datasets.image_files import ImageFile, ImageRequest

from .annotations import Annotations
from .sources import Source

SIZES = ('small', 'medium', 'large')
# Square pixels, https://cocodataset.org/#detection-eval
SIZE_BORDERS = (32**2, 96**2)


@dataclass(frozen=True)
class Facts:
    """One data set of the config, with N images and M boxes.

    ``class_of`` is the label by the box's name in the classes of the config, whatever label the data set gives it.
    """

    source: Source
    annotations: Annotations
    image_fate: np.ndarray
    """(N,) of :class:`ImageFate`."""
    box_fate: np.ndarray
    """(M,) of :class:`BoxFate`."""
    class_of: np.ndarray
    """(M,) place of the box's category in ``source.classes``, -1 if it is none of them."""
    given_labels: np.ndarray
    """By category: the label that the data set gives, -1 for none."""
    files: dict[int, ImageFile]
    """By image; only those that are used are read."""

    @property
    def used(self) -> np.ndarray:
        """(N,) whether the image is used."""
        return self.image_fate == ImageFate.USED

    @property
    def kept(self) -> np.ndarray:
        """(M,) whether the box is trained on."""
        return self.box_fate == BoxFate.KEPT

    def boxes_per_image(self) -> np.ndarray:
        """Kept boxes of each used image."""
        counts = np.bincount(self.annotations.image[self.kept], minlength=len(self.image_fate))
        return counts[self.used]

    def per_class(self, mask: np.ndarray) -> np.ndarray:
        """(K,) how many of the boxes in ``mask`` each class has."""
        labels = self.class_of[mask]
        return np.bincount(labels[labels >= 0], minlength=len(self.source.classes))

    def per_class_and_size(self, areas: np.ndarray) -> np.ndarray:
        """(K, 3) kept boxes of each class that are small, medium and large by ``areas`` (M,)."""
        groups = np.digitize(areas, SIZE_BORDERS)
        return np.stack([self.per_class(self.kept & (groups == group)) for group in range(3)], axis=1)

    def network_scales(self) -> np.ndarray | None:
        """(M, 2) by how much the width and height of each box change on the way to the network, if that is fixed."""
        if self.source.scale is None:
            return None
        sizes = np.array([(image.width, image.height) for image in self.annotations.images] or np.empty((0, 2)))
        scales = np.vstack([np.array(self.source.scale) / sizes, [[np.nan, np.nan]]])
        if self.source.keep_ratio:
            # mmcv.rescale_size: neither the long nor the short side passes that of the scale
            longest, shortest = max(self.source.scale), min(self.source.scale)
            factors = np.minimum(longest / sizes.max(axis=1), shortest / sizes.min(axis=1))
            scales[:-1] = factors[:, None]
        return scales[self.annotations.image]

    def network_areas(self) -> np.ndarray | None:
        """(M,) areas in pixels of the network's input, if its scale is fixed."""
        scales = self.network_scales()
        return None if scales is None else self.annotations.area * scales.prod(axis=1)

    def images_by_content(self) -> dict[str, list[int]]:
        """Used images that show the same: by digest, or by path where the file could not be read."""
        groups = defaultdict(list)
        for index in np.flatnonzero(self.used):
            path = self.source.path(self.annotations.images[index].file_name)
            groups[path if self.files[index].problem else self.files[index].digest].append(int(index))
        return dict(groups)


def wanted_images(source: Source, annotations: Annotations) -> dict[int, ImageRequest]:
    """The files to read, by image."""
    backend = tuple((source.backend_args or {}).items())
    return {
        int(index): ImageRequest(
            source.path(annotations.images[index].file_name), source.color_type, source.decoder, backend
        )
        for index in np.flatnonzero(image_fates(source, annotations) == ImageFate.USED)
    }


def gather_facts(source: Source, annotations: Annotations, files: dict[int, ImageFile]) -> Facts:
    """Join what the annotation file and the image files of a data set say."""
    places = {name: label for label, name in enumerate(source.classes)}
    by_name = np.array([places.get(name, -1) for name in annotations.category_names], dtype=np.int64)
    image_fate, box_fate = image_fates(source, annotations), box_fates(source, annotations)
    # The reason that a box has in itself is told first.
    fits = (box_fate == BoxFate.KEPT) | (box_fate == BoxFate.CROWD)
    in_unused = np.append(image_fate != ImageFate.USED, False)[annotations.image]
    box_fate[fits & in_unused] = BoxFate.UNUSED_IMAGE
    return Facts(
        source=source,
        annotations=annotations,
        image_fate=image_fate,
        box_fate=box_fate,
        class_of=np.append(by_name, -1)[annotations.category],
        given_labels=class_labels(source, annotations),
        files=files,
    )


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
