"""How objects are put together to one image of the shapes data set, and what is annotated of them."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from pycocotools import mask as coco_mask
from shapes import CLASSES, Raster, crop, outline, paint, rasterise

MIN_VISIBLE = 0.7  # share of an object that is never hidden, neither by the image's border nor by later objects
SIDES = ((15.0, 31.0), (33.0, 72.0), (100.0, 125.0))  # sqrt(area): COCO's small, medium, large, safely inside

_NOBODY = -1
_TRIES = 30


@dataclass
class _Item:
    category_id: int
    crowd: bool
    full_area: int  # pixels before anything hides it
    visible_area: int


class Scene:
    """An image that objects are added to, later ones in front.

    Args:
        background: (H, W, 3) float32 RGB in 0..255, drawn on in place.
        photos: RGB photographs that surfaces are cut from.
        rng: the only source of chance.
    """

    def __init__(self, background: np.ndarray, photos: list[np.ndarray], rng: Generator) -> None:
        self.image = background
        self._photos = photos
        self._rng = rng
        self._owner = np.full(background.shape[:2], _NOBODY, np.int32)
        self._items: list[_Item] = []

    def add(self, category_id: int, side: float) -> bool:
        """Add an object of class ``CLASSES[category_id - 1]`` and area ``side**2``; False if no place was free."""
        size = self._owner.shape[::-1]
        raster = self._draw(category_id, side)
        return any(self._put(category_id, raster, self._rng.integers((0, 0), size)) for _ in range(_TRIES))

    def add_crowd(self, category_id: int, count: int) -> None:
        """Add a pile of about ``count`` tiny objects of one class that is annotated as one crowd region."""
        size = np.array(self._owner.shape[::-1])
        middle = self._rng.uniform(0.3, 0.7, 2) * size
        first = len(self._items)
        for _ in range(count):
            centre = (middle + self._rng.normal(0, 0.07, 2) * size).astype(int)
            self._put(category_id, self._draw(category_id, self._rng.uniform(10, 14)), centre, min_visible=0)
        region = self._owner >= first
        self._owner[region] = first
        area = int(region.sum())
        self._items[first:] = [_Item(category_id, True, area, area)]

    def _draw(self, category_id: int, side: float) -> Raster:
        within_pixel = self._rng.random(2)
        contours = [contour + within_pixel for contour in outline(CLASSES[category_id - 1], side, self._rng)]
        return rasterise(contours, line_width=self._rng.uniform(0.02, 0.05) * side + 0.8)

    def _put(self, category_id: int, raster: Raster, centre: np.ndarray, min_visible: float = MIN_VISIBLE) -> bool:
        left, top = (int(v) for v in centre + raster.offset)
        solid = raster.solid
        h, w = solid.shape
        full_area = int(solid.sum())
        x0, y0 = max(left, 0), max(top, 0)
        inside = solid[y0 - top : self._owner.shape[0] - top, x0 - left : self._owner.shape[1] - left]
        visible_area = int(inside.sum())
        if visible_area == 0 or visible_area < MIN_VISIBLE * full_area:
            return False
        owner = self._owner[y0 : top + h, x0 : left + w]
        hidden = owner[inside]
        lost = np.bincount(hidden[hidden != _NOBODY], minlength=len(self._items))
        for item, pixels in zip(self._items, lost, strict=True):
            if pixels and item.visible_area - pixels < min_visible * item.full_area:
                return False
        for item, pixels in zip(self._items, lost, strict=True):
            item.visible_area -= int(pixels)
        owner[inside] = len(self._items)
        self._items.append(_Item(category_id, False, full_area, visible_area))
        paint(self.image, raster, self._photos, self._rng, left, top)
        return True

    def annotations(self) -> list[dict]:
        """COCO annotations without ids: visible mask as RLE, its area and its tight box [x, y, w, h] in pixels."""
        result = []
        for index, item in enumerate(self._items):
            mask = self._owner == index
            columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
            x, y = int(columns[0]), int(rows[0])
            box = [x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1]
            result.append(
                dict(
                    category_id=item.category_id,
                    bbox=box,
                    area=int(mask.sum()),
                    iscrowd=int(item.crowd),
                    segmentation=_run_lengths(mask) if item.crowd else _compressed(mask),
                )
            )
        return result


def _compressed(mask: np.ndarray) -> dict:
    code = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return dict(size=list(code['size']), counts=code['counts'].decode('ascii'))


def _run_lengths(mask: np.ndarray) -> dict:
    """Uncompressed RLE, the form that COCO gives its crowd regions: lengths of runs, column by column, zeros first."""
    flat = mask.ravel(order='F')
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff([0, *edges, flat.size]).tolist()
    return dict(size=list(mask.shape), counts=[0, *counts] if flat[0] else counts)


def make_scene(
    photos: list[np.ndarray],
    size: int,
    objects: tuple[int, int],
    mix: tuple[float, float, float],
    crowd: bool,
    rng: Generator,
) -> tuple[np.ndarray, list[dict], int]:
    """One image, its annotations, and the index of the photograph behind it.

    Args:
        photos: at least two RGB photographs (H, W, 3) uint8; surfaces never come from the one behind the scene.
        size: side of the square image in pixels.
        objects: fewest and most objects; fewer appear where no free place is found.
        mix: shares of COCO-small, -medium and -large objects, in sum 1.
        crowd: add a crowd region below the other objects.
        rng: the only source of chance.

    Returns:
        (size, size, 3) uint8 RGB, annotations without ids, index into ``photos``.
    """
    behind = int(rng.integers(len(photos)))
    background = crop(photos[behind], size, size, (0.45, 1.0), rng)
    # one gain a channel, so that grey photographs are coloured too and no photograph has its own colour
    background *= rng.uniform(0.7, 1.1, 3).astype(np.float32)
    scene = Scene(np.clip(background, 0, 255), [p for i, p in enumerate(photos) if i != behind], rng)
    if crowd:
        scene.add_crowd(int(rng.integers(len(CLASSES))) + 1, count=30)
    count = int(rng.integers(objects[0], objects[1] + 1))
    bands = np.array(SIDES)[rng.choice(len(SIDES), count, p=mix)]
    sides = np.exp(rng.uniform(*np.log(bands).T))
    # large ones mostly first, so that they do not hide the small ones
    for side in sides[np.argsort(-sides * rng.uniform(0.5, 1.5, count))]:
        scene.add(int(rng.integers(len(CLASSES))) + 1, float(side))
    return np.round(scene.image).astype(np.uint8), scene.annotations(), behind
