"""Mixup of two whole images."""

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmdet.structures.bbox import autocast_box_type

from sparse_rcnn_ext.registry import TRANSFORMS


@TRANSFORMS.register_module()
class BetaMixUp(BaseTransform):
    """Blend an image with another of the same size and keep the boxes of both, all with full weight.

    Zhang et al., Bag of Freebies for Training Object Detection Neural Networks (https://arxiv.org/abs/1902.04103),
    section 3.1. mmdet's MixUp blends a part of a rescaled image in, always half and half.

    Args:
        alpha: First parameter of the Beta distribution that the share of the image is drawn from.
        beta: Its second parameter.
    """

    def __init__(self, alpha: float = 8.0, beta: float = 8.0) -> None:
        super().__init__()
        self.alpha = alpha
        self.beta = beta

    @autocast_box_type()
    def transform(self, results: dict) -> dict:
        """Blend ``img`` and join ``gt_bboxes``, ``gt_bboxes_labels`` and ``gt_ignore_flags``.

        Args:
            results: A sample with one other sample in ``mix_results``; both images (H, W, 3) uint8.

        Raises:
            ValueError: If there is not exactly one other image, or it has another size.
        """
        others = results.pop('mix_results')
        if len(others) != 1 or others[0]['img'].shape != results['img'].shape:
            shapes = [other['img'].shape for other in others]
            raise ValueError(
                f'BetaMixUp mixes two images of one size, and got {results["img"].shape} with {shapes}: '
                'put LoadOtherImages(number=1) before it, and pad both to one size'
            )
        other = others[0]
        share = self._draw_share()
        results['img'] = cv2.addWeighted(results['img'], share, other['img'], 1 - share, 0)
        results['gt_bboxes'] = results['gt_bboxes'].cat([results['gt_bboxes'], other['gt_bboxes']])
        for key in ('gt_bboxes_labels', 'gt_ignore_flags'):
            results[key] = np.concatenate([results[key], other[key]])
        return results

    @cache_randomness
    def _draw_share(self) -> float:
        return np.random.beta(self.alpha, self.beta)
