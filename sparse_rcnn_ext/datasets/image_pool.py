"""The images of a data set within reach of its own pipeline, for transforms that mix several images."""

from mmengine.dataset import BaseDataset

POOL_KEY = 'image_pool'
"""Under this key of a sample its data set's :class:`ImagePool` stands."""


class ImagePool:
    """What a transform sees of the data set: how many images there are, and what is known of each."""

    def __init__(self, dataset: BaseDataset) -> None:
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> dict:
        """What the pipeline starts from for image ``index``: ``img_path``, ``instances``, …"""
        return self._dataset.get_data_info(index)

    def __deepcopy__(self, memo: dict) -> 'ImagePool':
        # Transforms such as mmdet's Mosaic copy the whole sample; the data set must not be copied with it.
        return self


class PoolsImages:
    """Mixin, before a ``BaseDataset``: every training sample enters the pipeline with an :class:`ImagePool`.

    So mosaic and mixup stand anywhere in the pipeline, inside a ``RandomChoice`` too. mmdet's MultiImageMixDataset
    fetches images for the outermost transforms only, and wraps the data set, whose settings then lie one level deeper.
    """

    def prepare_data(self, idx: int) -> dict | None:
        """Run the pipeline on image ``idx``; None where the pipeline rejects it."""
        info = self.get_data_info(idx)
        if not self.test_mode:
            info[POOL_KEY] = ImagePool(self)
        return self.pipeline(info)
