"""Mixup of two whole images."""

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmdet.structures.bbox import HorizontalBoxes, autocast_box_type

from sparse_rcnn_ext.registry import TRANSFORMS

from .mosaics import scale_into


@TRANSFORMS.register_module()
class BetaMixUp(BaseTransform):
    """Blend an image with another and keep the boxes of both, all with full weight.

    Zhang et al., Bag of Freebies for Training Object Detection Neural Networks (https://arxiv.org/abs/1902.04103),
    section 3.1. mmdet's MixUp blends a part of a rescaled image in, always half and half.

    Args:
        alpha: First parameter of the Beta distribution that the share of the image is drawn from.
        beta: Its second parameter.
        pad_val: None: both images must have one size. Else the result has the size of the first, so that memory stays
            bounded: the other is scaled down to fit, with its aspect and never up, lies at the top left, and this is
            the level of the three channels that the rest is blended with. Its boxes are cut at its edge.
    """

    def __init__(self, alpha: float = 8.0, beta: float = 8.0, pad_val: int | None = None) -> None:
        super().__init__()
        self.alpha = alpha
        self.beta = beta
        self.pad_val = pad_val

    @autocast_box_type()
    def transform(self, results: dict) -> dict:
        """Blend ``img`` and join ``gt_bboxes``, ``gt_bboxes_labels`` and ``gt_ignore_flags``.

        Args:
            results: A sample with one other sample in ``mix_results``, which is removed but not changed; both images
                (H, W, 3) uint8.

        Raises:
            ValueError: If there is not exactly one other image, or it has another size and ``pad_val`` is None.
        """
        others = results.pop('mix_results')
        if len(others) != 1 or (self.pad_val is None and others[0]['img'].shape != results['img'].shape):
            shapes = [other['img'].shape for other in others]
            raise ValueError(
                f'BetaMixUp mixes two images of one size, and got {results["img"].shape} with {shapes}: '
                'put LoadOtherImages(number=1) before it, and pad both to one size or set its pad_val'
            )
        other = others[0]
        image, boxes = other['img'], other['gt_bboxes']
        if self.pad_val is not None:
            image, boxes = self._fit(other, results['img'])
        share = self._draw_share()
        results['img'] = cv2.addWeighted(results['img'], share, image, 1 - share, 0)
        results['gt_bboxes'] = results['gt_bboxes'].cat([results['gt_bboxes'], boxes])
        for key in ('gt_bboxes_labels', 'gt_ignore_flags'):
            results[key] = np.concatenate([results[key], other[key]])
        return results

    def _fit(self, other: dict, canvas: np.ndarray) -> tuple[np.ndarray, HorizontalBoxes]:
        """The other sample's image at the size of ``canvas``, (H, W, 3), and its boxes there."""
        height, width = canvas.shape[:2]
        image, boxes = scale_into(other, min(width, other['img'].shape[1]), min(height, other['img'].shape[0]))
        laid = np.full_like(canvas, self.pad_val)
        laid[: image.shape[0], : image.shape[1]] = image
        return laid, HorizontalBoxes(boxes)

    @cache_randomness
    def _draw_share(self) -> float:
        return np.random.beta(self.alpha, self.beta)
