"""A mosaic of four images that is as large as the first."""

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.structures.bbox import HorizontalBoxes, autocast_box_type

from sparse_rcnn_ext.registry import TRANSFORMS


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
