"""The ground truth of a batch in tensors, and which proposals it was matched with."""

from typing import NamedTuple

import torch
from mmdet.structures import SampleList
from mmdet.structures.bbox import get_box_tensor
from torch import Tensor


class Targets(NamedTuple):
    """Ground truth of a batch, padded to the image with the most boxes (G)."""

    boxes: Tensor
    """(B, G, 4) xyxy pixels; rows beyond an image's count are padding."""
    labels: Tensor
    """(B, G) class indices; 0 in the padding."""
    counts: tuple[int, ...]
    """Boxes of each image. Numbers on the host, so that nothing waits for the device."""
    image_whwh: Tensor
    """(B, 4) width, height, width, height in pixels, before batch padding."""


class MatchedPairs(NamedTuple):
    """Which proposal has which ground truth; entry i of all belongs together.

    One to one, every stage matches equally many pairs (M): of each image, the smaller of its proposals and its boxes.
    No proposal and no ground truth stands twice within a stage and an image, and there are no weights.
    """

    image: Tensor
    """(S, M) image of the batch."""
    proposal: Tensor
    """(S, M) proposal of that image."""
    target: Tensor
    """(S, M) ground truth of that image."""
    weight: Tensor | None = None
    """(S, M), 1 for a pair, or 0 for one that fills a stage with fewer pairs up: a repetition of another pair."""


def pack_image_whwh(data_samples: SampleList, like: Tensor) -> Tensor:
    """Sizes of the images as they entered the network, without batch padding.

    Args:
        data_samples: One per image, with the meta key ``img_shape``.
        like: A tensor whose device and dtype (at least float32) the result takes.

    Returns:
        (B, 4) width, height, width, height in pixels.
    """
    sizes = [(*sample.img_shape[1::-1], *sample.img_shape[1::-1]) for sample in data_samples]
    return torch.tensor(sizes, dtype=torch.promote_types(like.dtype, torch.float32)).to(like.device, non_blocking=True)


def pack_scale_factors(data_samples: SampleList, like: Tensor) -> Tensor:
    """What boxes in the network's input are divided by to lie in the original images.

    Args:
        data_samples: One per image, with the meta key ``scale_factor``, width and height; without it, where a pipeline
            does not resize, both are 1.
        like: A tensor whose device and dtype the result takes.

    Returns:
        (B, 4) width, height, width, height.
    """
    return like.new_tensor([sample.get('scale_factor', (1.0, 1.0)) for sample in data_samples]).repeat(1, 2)


def pack_targets(data_samples: SampleList, image_whwh: Tensor) -> Targets:
    """Pad the ground truth of a batch into tensors.

    Args:
        data_samples: One per image, with ``gt_instances`` (``bboxes`` in xyxy pixels and ``labels``).
        image_whwh: (B, 4), see :func:`pack_image_whwh`.

    Returns:
        The padded targets, on the device of ``image_whwh``.
    """
    counts = tuple(len(sample.gt_instances) for sample in data_samples)
    boxes = image_whwh.new_zeros(len(counts), max(counts), 4)
    labels = torch.zeros(boxes.shape[:2], dtype=torch.long, device=boxes.device)
    for image, (sample, count) in enumerate(zip(data_samples, counts, strict=True)):
        boxes[image, :count] = get_box_tensor(sample.gt_instances.bboxes).to(boxes)
        labels[image, :count] = sample.gt_instances.labels.to(labels)
    return Targets(boxes, labels, counts, image_whwh)
