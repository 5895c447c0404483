"""A sample at the size that it has in another image."""

import cv2
import numpy as np


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
