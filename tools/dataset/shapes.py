"""How one object of the shapes data set looks: its outline, its surface, and its raster.

The class of an object is its outline and nothing else: area, aspect, rotation, colour, texture, border and shading are
drawn from the same distributions for every class.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator

CLASSES = ('circle', 'triangle', 'rectangle', 'star', 'ring')

_OVERSAMPLING = 4
_SHIFT = 6  # fractional bits of the coordinates that OpenCV draws with
_MARGIN = 8  # pixels around an object, room for its shadow


@dataclass
class Raster:
    """One object on its own small grid, whose upper left corner is at ``offset`` (x, y) from the object's centre.

    ``coverage`` and ``stroke`` are (h, w) in 0..1: the share of each pixel inside the outline, and on its border line.
    """

    offset: tuple[int, int]
    coverage: np.ndarray
    stroke: np.ndarray

    @property
    def solid(self) -> np.ndarray:
        """(h, w) bool: pixels that count as the object."""
        return self.coverage >= 0.5


def _regular(corners: int, radius: float = 1.0) -> np.ndarray:
    angle = np.arange(corners) * 2 * np.pi / corners
    return np.stack([np.cos(angle), np.sin(angle)], axis=1) * radius


def _contours(name: str, rng: Generator) -> list[np.ndarray]:
    """Closed contours (points, 2) around the origin, of any size; a second contour is a hole."""
    if name == 'circle':
        return [_regular(64)]
    if name == 'ring':
        return [_regular(64), _regular(64, rng.uniform(0.45, 0.65))]
    if name == 'triangle':
        return [_regular(3) + rng.uniform(-0.12, 0.12, (3, 2))]
    if name == 'rectangle':
        return [np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], dtype=float)]
    star = _regular(10)
    star[1::2] *= rng.uniform(0.4, 0.5)
    return [star]


def _area(contour: np.ndarray) -> float:
    x, y = contour.T
    return 0.5 * abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))


def outline(name: str, side: float, rng: Generator) -> list[np.ndarray]:
    """Contours (points, 2) of a randomly stretched and turned object of class ``name`` and area ``side**2`` pixels."""
    contours = _contours(name, rng)
    area = _area(contours[0]) - sum(_area(hole) for hole in contours[1:])
    stretch = np.exp(rng.uniform(-0.3, 0.3))
    angle = rng.uniform(0, 2 * np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    transform = turn @ np.diag([stretch, 1 / stretch]) * side / np.sqrt(area)
    return [contour @ transform.T for contour in contours]


def rasterise(contours: list[np.ndarray], line_width: float) -> Raster:
    """Anti-aliased coverage of the contours and of a line of ``line_width`` pixels along the inside of them."""
    points = np.concatenate(contours)
    low = np.floor(points.min(axis=0)).astype(int) - _MARGIN
    width, height = np.ceil(points.max(axis=0)).astype(int) + _MARGIN - low
    fine = np.zeros((height * _OVERSAMPLING, width * _OVERSAMPLING), np.uint8)
    # OpenCV's integer coordinates are pixel centres, ours are pixel corners
    fixed = [np.round(((c - low) * _OVERSAMPLING - 0.5) * 2**_SHIFT).astype(np.int32) for c in contours]
    cv2.fillPoly(fine, fixed, 255, cv2.LINE_8, _SHIFT)
    line = np.zeros_like(fine)
    if line_width > 0:
        thickness = max(1, round(2 * line_width * _OVERSAMPLING))
        cv2.polylines(line, fixed, True, 255, thickness, cv2.LINE_8, _SHIFT)
        line = cv2.bitwise_and(line, fine)
    coverage, stroke = (
        cv2.resize(m, (int(width), int(height)), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        for m in (fine, line)
    )
    return Raster((int(low[0]), int(low[1])), coverage, stroke)


def crop(photo: np.ndarray, height: int, width: int, zoom: tuple[float, float], rng: Generator) -> np.ndarray:
    """A random part of ``photo`` (H, W, 3) at the wanted size; its share of the photo is drawn from ``zoom``."""
    rows, cols = photo.shape[:2]
    share = rng.uniform(*zoom) * min(rows / height, cols / width)
    h, w = max(2, int(height * share)), max(2, int(width * share))
    top, left = rng.integers(0, rows - h + 1), rng.integers(0, cols - w + 1)
    part = np.rot90(photo[top : top + h, left : left + w], 2 * rng.integers(0, 2))
    part = part[:, :: 1 - 2 * int(rng.integers(0, 2))]
    how = cv2.INTER_AREA if share > 1 else cv2.INTER_LINEAR
    return cv2.resize(np.ascontiguousarray(part), (width, height), interpolation=how).astype(np.float32)


def _ramp(height: int, width: int, rng: Generator) -> np.ndarray:
    """(height, width) pixels along a random direction, 0 at the centre."""
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.ogrid[:height, :width]
    return ((x - width / 2) * np.cos(angle) + (y - height / 2) * np.sin(angle)).astype(np.float32)


def surface(height: int, width: int, photos: list[np.ndarray], rng: Generator) -> tuple[np.ndarray, bool]:
    """Random surface (height, width, 3) in 0..255, and whether it is so uneven that only a border makes it visible."""
    first, second = rng.uniform(0, 255, (2, 3)).astype(np.float32)
    kind = rng.choice(5, p=[0.35, 0.15, 0.15, 0.15, 0.2])
    mix = np.zeros((height, width), np.float32)
    if kind == 0:
        part = crop(photos[rng.integers(len(photos))], height, width, (0.1, 0.5), rng)
        skin = part + (first - part) * np.float32(rng.uniform(0.1, 0.6))
    else:
        if kind == 1:
            mix = 0.5 + 0.5 * np.sin(_ramp(height, width, rng) * (2 * np.pi / np.float32(rng.uniform(5, 16))))
        elif kind == 2:
            mix = np.clip(0.5 + _ramp(height, width, rng) / max(height, width), 0, 1)
        elif kind == 3:
            grain = rng.uniform(3, 10)
            coarse = rng.random((int(height / grain) + 2, int(width / grain) + 2), dtype=np.float32)
            mix = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
        skin = first + (second - first) * mix[..., None]
    light = 1 + _ramp(height, width, rng) / max(height, width) * np.float32(rng.uniform(0, 0.6))
    return skin * light[..., None], kind in (0, 1, 3)


def paint(canvas: np.ndarray, raster: Raster, photos: list[np.ndarray], rng: Generator, left: int, top: int) -> None:
    """Draw an object with a random surface onto ``canvas`` (H, W, 3) float, in place, its grid's corner at (left, top).

    What lies outside the canvas is cut off. The surface is moved away from what lies below it, so that it can be seen.
    """
    height, width = raster.coverage.shape
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + width, canvas.shape[1]), min(top + height, canvas.shape[0])
    part = np.s_[y0 - top : y1 - top, x0 - left : x1 - left]
    below = canvas[y0:y1, x0:x1]
    solid = raster.solid[part]

    skin, uneven = surface(height, width, photos, rng)
    skin = skin[part]
    under, over = below[solid].mean(axis=0), skin[solid].mean(axis=0)
    if np.linalg.norm(over - under) < 70:
        skin = skin + (70 if under.mean() < 128 else -70)
        over = skin[solid].mean(axis=0)
    lined = uneven or rng.random() < 0.5
    if lined:
        tone = 0.5 * (under.mean() + over.mean())
        ink = rng.uniform(0, 45, 3) if tone > 128 else rng.uniform(210, 255, 3)
        skin = skin + (ink.astype(np.float32) - skin) * raster.stroke[part][..., None]

    shadow = cv2.GaussianBlur(raster.coverage, (0, 0), 2.0)
    shift = rng.integers(-3, 4, 2)
    shadow = np.roll(shadow, shift, axis=(0, 1))[part] * np.float32(rng.uniform(0, 0.5))
    below *= 1 - shadow[..., None]
    alpha = raster.coverage[part] * np.float32(rng.uniform(0.8, 1.0))
    below += (np.clip(skin, 0, 255) - below) * alpha[..., None]
