"""Images from files: photographs no larger than needed, and others for a transform that mixes several."""

from collections.abc import Sequence
from copy import deepcopy
from pathlib import PurePath

import cv2
import numpy as np
from mmcv.transforms import BaseTransform, Compose, LoadImageFromFile
from mmcv.transforms.utils import cache_randomness

from sparse_rcnn_ext.datasets.image_pool import POOL_KEY, ImagePool
from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.registry import TRANSFORMS

_MAX_TRIES = 20
_KEPT_KEYS = ('img', 'img_shape', 'gt_bboxes', 'gt_bboxes_labels', 'gt_ignore_flags')


@TRANSFORMS.register_module()
class LoadOtherImages(BaseTransform):
    """Draw images of the whole data set at random and put them into ``mix_results``, where mmdet's Mosaic and MixUp
    and our HalvedMosaic, MosaicAndWarp and BetaMixUp look for them. In a ``RandomApply`` with one of these it loads
    nothing for the samples that are not mixed.

    By default nothing is kept from sample to sample: a sample depends on nothing but the state of the random numbers.

    With ``cache`` the others come from images that are in memory already, as in RTMDet
    (https://arxiv.org/abs/2212.07784): until ``cache`` images are there, each is drawn from the whole data set and
    kept; then each sample's own image, after the others of that sample are drawn, takes the place of a random one. An
    epoch still has every image as the sampler says, and each is put beside others as often as without a cache, on
    average; only which images meet depends on the recent samples of the same process. Each worker has a cache of its
    own, which lives as long as the worker; the same seed and samples give the same draws.

    Args:
        number: How many images to draw, with replacement: 3 for a mosaic, 1 for a mixup.
        transforms: What is done to each, from loading on: a recipe's whole pipeline but the packing may stand here,
            also one that mixes images itself. With ``cache``, what was done to the sample's own image before must be
            the same.
        cache: Images to keep, or 0. Their pixels take that many times height × width × 3 bytes in each worker.
    """

    def __init__(self, number: int, transforms: Sequence[dict], cache: int = 0) -> None:
        super().__init__()
        self.number = number
        self.transforms = Compose(transforms)
        self.cache = cache
        self._kept: list[dict] = []

    def transform(self, results: dict) -> dict:
        """Set ``mix_results``, which must not be changed; remove ``instances``, from which the boxes were loaded.

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
        if self.cache:
            self._keep(results)
        for sample in (results, *others):
            # mmdet's Mosaic copies samples deeply; COCO's polygons would take a fifth of the pipeline's time.
            sample.pop('instances', None)
        results['mix_results'] = others
        return results

    @cache_randomness
    def _draw(self, pool: ImagePool) -> list[dict]:
        return [self._draw_one(pool) for _ in range(self.number)]

    def _draw_one(self, pool: ImagePool) -> dict:
        if not self.cache:
            return self._load_one(pool)
        if len(self._kept) < self.cache:
            self._kept.append(self._load_one(pool))
            return self._kept[-1]
        return self._kept[np.random.randint(self.cache)]

    def _keep(self, results: dict) -> None:
        """Keep a copy of a sample: it goes on through transforms that may write into it."""
        sample = {key: deepcopy(results[key]) for key in _KEPT_KEYS}
        if len(self._kept) < self.cache:
            self._kept.append(sample)
        else:
            self._kept[np.random.randint(self.cache)] = sample

    def _load_one(self, pool: ImagePool) -> dict:
        for _ in range(_MAX_TRIES):
            other = self.transforms(pool[np.random.randint(len(pool))] | {POOL_KEY: pool})
            if other is not None:
                return other
        raise RuntimeError(f'LoadOtherImages: its transforms rejected {_MAX_TRIES} images in a row')


_FLAGS = {8: cv2.IMREAD_REDUCED_COLOR_8, 4: cv2.IMREAD_REDUCED_COLOR_4, 2: cv2.IMREAD_REDUCED_COLOR_2}


@TRANSFORMS.register_module()
class LoadReducedImage(BaseTransform):
    """mmcv's LoadImageFromFile, but a JPEG is decoded at a half, a fourth or an eighth of its sides where both its
    longer side and the boxes' scale allow that: the result's long side is still ``long_side`` or more.

    A JPEG decoder averages the pixels that it joins, which a bilinear resize by more than two does not. What comes next
    and counts in pixels, a blur or a noise, works on pixels near those of the final image, as it does for small files.
    COCO's images, 640 pixels long, are decoded whole for a long side above 320.

    Args:
        long_side: Pixels that the decoded image's longer side must at least have, if the file has them.
        backend_args: See mmcv's LoadImageFromFile.
    """

    def __init__(self, long_side: int, backend_args: dict | None = None) -> None:
        super().__init__()
        self.long_side = long_side
        self._whole = LoadImageFromFile(backend_args=backend_args)
        self._reduced = {
            by: LoadImageFromFile(color_type=flag, backend_args=backend_args) for by, flag in _FLAGS.items()
        }

    def transform(self, results: dict) -> dict:
        """Set ``img`` (H, W, 3) uint8 BGR, ``img_shape``, its sides, and ``ori_shape``, those of the file.

        Args:
            results: A sample with ``img_path``, the file's ``height`` and ``width``, and ``gt_bboxes``, which are
                brought to the image's scale.

        Raises:
            UserError: If the boxes are not loaded yet.
        """
        if 'gt_bboxes' not in results:
            raise UserError('LoadReducedImage finds no boxes to scale: put LoadAnnotations before it')
        size = results['height'], results['width']
        by = self._share(results['img_path'], max(size))
        if by > 1:
            self._reduced[by].transform(results)
            # Otherwise the annotations have another size than the file, and which is the boxes' is anyone's guess.
            if results['img_shape'] == tuple(-(-side // by) for side in size):
                height, width = results['img_shape']
                results['gt_bboxes'].rescale_((width / size[1], height / size[0]))
                results['ori_shape'] = size
                return results
        return self._whole.transform(results)

    def _share(self, path: str, long_side: int) -> int:
        """By how much to divide the sides."""
        # Of other formats OpenCV decodes all, and then leaves pixels out.
        if PurePath(path).suffix.lower() not in ('.jpg', '.jpeg'):
            return 1
        return next((by for by in _FLAGS if long_side >= by * self.long_side), 1)
