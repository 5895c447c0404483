"""Other images of the data set, for a transform that mixes several."""

from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform, Compose
from mmcv.transforms.utils import cache_randomness

from sparse_rcnn_ext.datasets.image_pool import POOL_KEY, ImagePool
from sparse_rcnn_ext.engine.errors import UserError
from sparse_rcnn_ext.registry import TRANSFORMS

_MAX_TRIES = 20


@TRANSFORMS.register_module()
class LoadOtherImages(BaseTransform):
    """Draw images of the whole data set at random and put them into ``mix_results``, where mmdet's Mosaic and MixUp
    and our BetaMixUp look for them.

    Nothing is kept from sample to sample, so that a sample depends on nothing but the state of the random numbers.

    Args:
        number: How many images to draw, with replacement: 3 for a mosaic, 1 for a mixup.
        transforms: What is done to each, from loading on.
    """

    def __init__(self, number: int, transforms: Sequence[dict]) -> None:
        super().__init__()
        self.number = number
        self.transforms = Compose(transforms)

    def transform(self, results: dict) -> dict:
        """Set ``mix_results``; remove ``instances``, from which the boxes were loaded.

        Args:
            results: A sample with its data set's :class:`~sparse_rcnn_ext.datasets.image_pool.ImagePool`.

        Raises:
            UserError: If the data set hands no pool over.
            RuntimeError: If ``transforms`` reject image after image.
        """
        if POOL_KEY not in results:
            raise UserError(
                'LoadOtherImages finds no images to draw from: set train_dataloader.dataset.type to '
                "'sparse_rcnn_ext.CocoDataset', or to another data set that inherits PoolsImages"
            )
        others = self._draw(results[POOL_KEY])
        for sample in (results, *others):
            # mmdet's Mosaic copies samples deeply; COCO's polygons would take a fifth of the pipeline's time.
            sample.pop('instances', None)
        results['mix_results'] = others
        return results

    @cache_randomness
    def _draw(self, pool: ImagePool) -> list[dict]:
        return [self._draw_one(pool) for _ in range(self.number)]

    def _draw_one(self, pool: ImagePool) -> dict:
        for _ in range(_MAX_TRIES):
            other = self.transforms(pool[np.random.randint(len(pool))])
            if other is not None:
                return other
        raise RuntimeError(f'LoadOtherImages: its transforms rejected {_MAX_TRIES} images in a row')
