"""Images as a pipeline's own loader gives them, and as people can look at them."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from mmengine.dataset import BaseDataset

from sparse_rcnn_ext.datasets.joined import find_image

Transform = Callable[[dict], dict | None]

_DARKEST, _BRIGHTEST = 0.5, 99.5  # percent of the values that become black and white, where a range has to be found


def load_image(transforms: Sequence[Transform], sample: dict) -> tuple[dict | None, int]:
    """Run a pipeline up to the transform that loads the image.

    Args:
        transforms: Of the pipeline.
        sample: What a data set knows of the image, such as ``img_path``; it is left as it is.

    Returns:
        The sample with ``img``, None where a transform gave it up; and how many transforms ran, all of them where none
        loads an image.
    """
    results: dict | None = dict(sample)
    for number, transform in enumerate(transforms, 1):
        results = transform(results)
        if results is None or 'img' in results:
            return results, number
    return results, len(transforms)


def as_picture(results: dict) -> np.ndarray:
    """A loaded image for people.

    Of one channel comes grey, of two the first, of more the first three. What does not count in levels of 255, such as
    16 bits, is stretched from its darkest values to its brightest.

    Args:
        results: Has ``img``, (H, W) or (H, W, C) of any type of number, BGR where it has colours; and ``ori_shape``
            where the file's height and width are others.

    Returns:
        (H, W, 3) uint8 BGR, in the size of the file.
    """
    image = results['img']
    image = image[..., None] if image.ndim == 2 else image
    image = image[..., :3] if image.shape[2] >= 3 else image[..., :1]
    if image.dtype != np.uint8:
        image = _levels(image)
    if image.shape[2] == 1:
        image = image.repeat(3, axis=2)
    height, width = results.get('ori_shape', image.shape)[:2]
    if image.shape[:2] != (height, width):
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(image)


def dataset_picture(dataset: BaseDataset, index: int) -> np.ndarray:
    """The image of a data set that its pipeline loads, for people: (H, W, 3) uint8 RGB, in the size of the file.

    Args:
        dataset: A data set with a pipeline, or a wrapper of some.
        index: Which image.
    """
    dataset, index = find_image(dataset, index)
    results, _ = load_image(dataset.pipeline.transforms, dataset.get_data_info(index))
    return np.ascontiguousarray(as_picture(results)[..., ::-1])


def _levels(image: np.ndarray) -> np.ndarray:
    """Numbers of any range as uint8."""
    values = np.nan_to_num(image.astype(np.float32))
    # An augmentation such as noise may lead over the borders.
    in_levels = 1 < values.max(initial=0) <= 2 * 255 and values.min(initial=0) >= -255
    if not (in_levels and np.issubdtype(image.dtype, np.floating)):
        low, high = np.percentile(values, (_DARKEST, _BRIGHTEST)) if values.size else (0, 0)
        values = (values - low) * (255 / max(high - low, 1e-6))
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
