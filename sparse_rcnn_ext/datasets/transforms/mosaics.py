"""Mosaics of four images: as large as the first, or so that only what a warp will show is made."""

from collections.abc import Sequence

import cv2
import numpy as np
from mmcv.transforms import BaseTransform, Compose
from mmcv.transforms.utils import cache_randomness
from mmdet.structures.bbox import HorizontalBoxes, autocast_box_type

from sparse_rcnn_ext.registry import TRANSFORMS

from .warps import is_inside


@TRANSFORMS.register_module()
class HalvedMosaic(BaseTransform):
    """Put an image and three others into the four quarters of a canvas of the image's size, around its middle.

    Each is scaled to fit its quarter, with its aspect, and touches the middle. So a sample has the boxes of four images
    at the cost of one; and its size is what the pipeline before made it, so that this stands after any pipeline, with
    images of many sizes too. The mosaic of DEIM (https://arxiv.org/abs/2412.04234), which also halves its images, but
    then warps the whole.

    Args:
        pad_val: Level of the three channels where no image is.
        min_size: In pixels; boxes with a side below it are dropped.
    """

    def __init__(self, pad_val: int = 114, min_size: float = 1.0) -> None:
        super().__init__()
        self.pad_val = pad_val
        self.min_size = min_size

    @autocast_box_type()
    def transform(self, results: dict) -> dict:
        """Set ``img``; join ``gt_bboxes``, ``gt_bboxes_labels`` and ``gt_ignore_flags``.

        Boxes are cut at the edge of their image, past which there is another.

        Args:
            results: A sample with three others in ``mix_results``, which are removed but not changed; the images
                (H, W, 3) uint8, of any sizes.

        Raises:
            ValueError: If there are not three others.
        """
        samples = [results, *results.pop('mix_results')]
        if len(samples) != 4:
            raise ValueError(f'HalvedMosaic joins 4 images and got {len(samples)}: put LoadOtherImages(number=3) first')
        canvas = np.full_like(results['img'], self.pad_val)
        height, width = canvas.shape[:2]
        middle_x, middle_y = width // 2, height // 2
        boxes = []
        for place, sample in enumerate(samples):
            is_left, is_upper = place % 2 == 0, place < 2
            tile, tile_boxes = scale_into(
                sample,
                middle_x if is_left else width - middle_x,
                middle_y if is_upper else height - middle_y,
            )
            x = middle_x - tile.shape[1] * is_left
            y = middle_y - tile.shape[0] * is_upper
            canvas[y : y + tile.shape[0], x : x + tile.shape[1]] = tile
            boxes.append(tile_boxes + np.array([x, y, x, y], np.float32))
        boxes = np.concatenate(boxes)
        large = (boxes[:, 2:] - boxes[:, :2] >= self.min_size).all(axis=1)
        results['img'] = canvas
        results['gt_bboxes'] = HorizontalBoxes(boxes[large])
        for key in ('gt_bboxes_labels', 'gt_ignore_flags'):
            results[key] = np.concatenate([sample[key] for sample in samples])[large]
        return results


def scale_into(sample: dict, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Scale a sample, up or down and with its aspect, to the largest size that fits.

    Args:
        sample: With ``img``, (H, W, 3) uint8, and ``gt_bboxes``, N boxes xyxy in its pixels; it is not changed, and the
            image is returned as it is where it fits already.
        width: Of what it must fit into, in pixels.
        height: Of the same.

    Returns:
        The image, of at least a pixel unless ``width`` or ``height`` is 0; and (N, 4) boxes xyxy in its pixels, without
        what lay outside the image, for there will be something else.
    """
    image = sample['img']
    old_height, old_width = image.shape[:2]
    factor = min(width / old_width, height / old_height)
    new_width = min(max(round(old_width * factor), 1), width)
    new_height = min(max(round(old_height * factor), 1), height)
    if new_width * new_height == 0:
        image = image[:new_height, :new_width]  # OpenCV resizes nothing to nothing
    elif (new_width, new_height) != (old_width, old_height):
        image = cv2.resize(image, (new_width, new_height))
    old, new = (np.array(sides * 2, np.float32) for sides in ((old_width, old_height), (new_width, new_height)))
    # The sides are rounded, each by itself, so each has its own factor.
    return image, sample['gt_bboxes'].numpy().clip(0, old) * (new / old)


# Pixels around what the warp shows, so that its interpolation and a blur of a tile read no edge.
_MARGIN = 4


@TRANSFORMS.register_module()
class MosaicAndWarp(BaseTransform):
    """Put four images around a random centre on a canvas of twice the size, and warp the middle of it to one size.

    The result is that of mmdet's Mosaic and then ``warp`` with a border of minus half the size. But the warp shows only
    a third of the canvas, so that only this third is put together, and of each image only this part goes through
    ``transforms``.

    Args:
        size: Width and height that each image is fitted to, keeping its aspect, and those of the result.
        warp: Config of a :class:`~sparse_rcnn_ext.datasets.transforms.RandomPerspective`; its ``border`` is not used.
        transforms: What is done to the visible part of each image, after its resize, such as a colour jitter. They see
            and change ``img`` only, and not its size.
        center_ratio_range: Bounds of the centre's coordinates, in sizes.
    """

    def __init__(
        self,
        size: tuple[int, int],
        warp: dict,
        transforms: Sequence[dict] = (),
        center_ratio_range: tuple[float, float] = (0.5, 1.5),
    ) -> None:
        super().__init__()
        self.size = tuple(size)
        self.warp = TRANSFORMS.build(warp)
        self.transforms = Compose(transforms)
        self.center_ratio_range = center_ratio_range

    @autocast_box_type()
    def transform(self, results: dict) -> dict:
        """Set ``img`` and ``img_shape``; join and move ``gt_bboxes``, ``gt_bboxes_labels`` and ``gt_ignore_flags``.

        Args:
            results: A sample with three others in ``mix_results``, which are removed but not changed; the images
                (H, W, 3) uint8.

        Raises:
            ValueError: If there are not three others.
        """
        samples = [results, *results.pop('mix_results')]
        if len(samples) != 4:
            raise ValueError(
                f'MosaicAndWarp joins 4 images and got {len(samples)}: put LoadOtherImages(number=3) first'
            )
        canvas = (2 * self.size[0], 2 * self.size[1])
        center = self._draw_center()
        matrix = self.warp.draw_matrix(canvas, self.size)
        left, top, right, bottom = self._view(matrix)
        seen = np.empty((bottom - top, right - left, 3), np.uint8)
        seen[:] = np.tile(np.uint8(self.warp.border_val), (right - left, 1))  # row by row is faster than by pixel
        boxes = []
        for place, sample in enumerate(samples):
            image = sample['img']
            height, width = image.shape[:2]
            factor = min(self.size[0] / width, self.size[1] / height)
            # Cut down as mmdet's Mosaic does.
            tile = int(width * factor), int(height * factor)
            # Left or right, above or below the centre.
            x = center[0] - tile[0] * (place % 2 == 0)
            y = center[1] - tile[1] * (place < 2)
            boxes.append(sample['gt_bboxes'].numpy() * factor + np.array([x, y, x, y], np.float32))
            x1, y1, x2, y2 = max(x, left), max(y, top), min(x + tile[0], right), min(y + tile[1], bottom)
            if x1 < x2 and y1 < y2:
                if tile != (width, height):
                    image = cv2.resize(image, tile)
                part = seen[y1 - top : y2 - top, x1 - left : x2 - left]
                # Transforms may write into their image, so they get a copy; others may use the image again.
                part[:] = image[y1 - y : y2 - y, x1 - x : x2 - x]
                part[:] = self.transforms(dict(img=np.ascontiguousarray(part)))['img']
        shift = np.array([[1, 0, left], [0, 1, top], [0, 0, 1]])
        results['img'] = cv2.warpPerspective(seen, matrix @ shift, self.size, borderValue=self.warp.border_val)
        results['img_shape'] = results['img'].shape[:2]
        boxes = np.concatenate(boxes)
        inside = is_inside(boxes, canvas)
        results['gt_bboxes'] = HorizontalBoxes(boxes[inside])
        for key in ('gt_bboxes_labels', 'gt_ignore_flags'):
            results[key] = np.concatenate([sample[key] for sample in samples])[inside]
        self.warp.move_boxes(results, matrix)
        return results

    @cache_randomness
    def _draw_center(self) -> tuple[int, int]:
        """The point of the canvas where the four images meet."""
        ratios = np.random.uniform(*self.center_ratio_range, 2)
        return int(ratios[0] * self.size[0]), int(ratios[1] * self.size[1])

    def _view(self, matrix: np.ndarray) -> list[int]:
        """The smallest rectangle of the canvas, xyxy, that holds all which the result shows, and a margin."""
        width, height = self.size
        canvas = (2 * width, 2 * height)
        corners = np.array([(0, 0, 1), (width, 0, 1), (0, height, 1), (width, height, 1)])
        points = corners @ np.linalg.inv(matrix).T
        if points[:, 2].min() <= 0:
            return [0, 0, *canvas]  # the result shows the horizon
        points = points[:, :2] / points[:, 2:]
        first = (np.floor(points.min(axis=0)) - _MARGIN).clip(0, np.array(canvas) - 1)
        last = (np.ceil(points.max(axis=0)) + _MARGIN).clip(first + 1, canvas)
        return [int(value) for value in (*first, *last)]
