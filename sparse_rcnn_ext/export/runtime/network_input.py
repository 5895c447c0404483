"""Resize, pad and normalise images as the test pipeline of the config did."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np


class Batch(NamedTuple):
    """Input of the network."""

    pixels: np.ndarray
    """(B, 3, H, W) float32, normalised; zero right of and below each image."""
    sizes: np.ndarray
    """(B, 2) int64, height and width of each image in it."""
    factors: np.ndarray
    """(B, 2) float32, by which width and height were multiplied."""


def make_batch(images: Sequence[np.ndarray], metadata: dict[str, Any]) -> Batch:
    """Bring images to one batch.

    Args:
        images: Each (H, W, 3) uint8 RGB, at least one.
        metadata: Of the exported file.

    Raises:
        ValueError: If an image is something else.
    """
    mean, std = (np.float32(metadata[name]) for name in ('mean', 'std'))
    pad = metadata['pad']
    ready, factors = [], []
    for image in images:
        check_image(image)
        height, width = fitting_size(image.shape[:2], metadata)
        factors.append((width / image.shape[1], height / image.shape[0]))
        pixels = resize(image, height, width)
        if pad:
            canvas = np.full((*pad['size'], 3), pad['value'], np.uint8)
            canvas[:height, :width] = pixels
            pixels = canvas
        if metadata['channel_order'] == 'bgr':
            pixels = pixels[..., ::-1]
        ready.append((pixels - mean) / std)

    sizes = np.array([pixels.shape[:2] for pixels in ready])
    height, width = padded_size(sizes.max(axis=0).tolist(), metadata)
    batch = np.zeros((len(ready), 3, height, width), np.float32)
    for canvas, pixels in zip(batch, ready, strict=True):
        canvas[:, : pixels.shape[0], : pixels.shape[1]] = pixels.transpose(2, 0, 1)
    return Batch(batch, sizes, np.float32(factors))


def check_image(image: np.ndarray) -> None:
    """Raise ValueError if it is something else than (H, W, 3) uint8."""
    is_image = isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.shape[2:] == (3,) and image.size
    if not is_image:
        given = f'{image.dtype} {image.shape}' if isinstance(image, np.ndarray) else type(image).__name__
        raise ValueError(f'an image is {given}: give arrays (H, W, 3) of uint8, RGB, of a pixel at least')


def input_size(size: tuple[int, int], metadata: dict[str, Any]) -> tuple[int, int]:
    """Height and width of the network's input for an image of this height and width alone."""
    return padded_size(metadata['pad']['size'] if metadata['pad'] else fitting_size(size, metadata), metadata)


def padded_size(size: Sequence[int], metadata: dict[str, Any]) -> tuple[int, int]:
    """Height and width with the zeros beside them: that of the file, or the next multiples of its divisor."""
    divisor = metadata['pad_divisor']
    return tuple(metadata['size'] or (-(-side // divisor) * divisor for side in size))


def fitting_size(size: tuple[int, int], metadata: dict[str, Any]) -> tuple[int, int]:
    """Height and width to which an image of this height and width is resized."""
    scale = metadata['resize']['scale']
    if not metadata['resize']['keep_ratio']:
        return tuple(scale)
    # The long side fits the longer of the two, the short side the shorter; and both fit a file of fixed size.
    factor = min(max(scale) / max(size), min(scale) / min(size))
    if metadata['size']:
        factor = min(factor, *(limit / side for limit, side in zip(metadata['size'], size, strict=True)))
    return tuple(max(int(side * factor + 0.5), 1) for side in size)


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear, between the four nearest pixels and no others even when shrinking, as OpenCV does it.

    Pillow averages over all pixels when it shrinks; a network that was trained on OpenCV's images would see others.

    Args:
        image: (H, W, C) uint8.

    Returns:
        (height, width, C) uint8, up to one away from OpenCV's.
    """
    if image.shape[:2] == (height, width):
        return image
    above, below, share_y = _neighbours(image.shape[0], height)
    left, right, share_x = _neighbours(image.shape[1], width)
    rows = image[above].astype(np.float32)  # (height, W, C)
    rows += share_y[:, None, None] * (image[below] - rows)
    resized = rows[:, left]  # (height, width, C)
    resized += share_x[:, None] * (rows[:, right] - resized)
    return (resized + 0.5).astype(np.uint8)


def _neighbours(old: int, new: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both neighbours of each new pixel's centre along an axis, and the share of the second."""
    at = np.clip((np.arange(new) + 0.5) * (old / new) - 0.5, 0, old - 1)
    first = at.astype(np.int64)
    return first, np.minimum(first + 1, old - 1), (at - first).astype(np.float32)
