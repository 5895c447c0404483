"""The 640-pixel recipe's training pipeline put together from mmdet's transforms, to measure ours against."""

import copy
from collections.abc import Sequence

import numpy as np
from mmcv.transforms import Compose
from mmdet.datasets import MultiImageMixDataset
from mmengine.config import Config
from mmengine.dataset import BaseDataset

from sparse_rcnn_ext.errors import UserError

NEEDED = ('long_side', 'grey', 'crop', 'warp', 'drop', 'train_pipeline')


class EitherDataset:
    """A sample of one data set or of another, by chance.

    MultiImageMixDataset cannot choose between pipelines: its transforms run one after the other on every sample.

    Args:
        first: A data set.
        second: Another one of the same images.
        share: How often a sample is the first's.
    """

    def __init__(self, first: Sequence, second: Sequence, share: float) -> None:
        self.first, self.second, self.share = first, second, share

    def __len__(self) -> int:
        return len(self.first)

    def __getitem__(self, index: int) -> dict:
        return (self.first if np.random.random() < self.share else self.second)[index]


def plain_variants(cfg: Config, dataset: BaseDataset) -> dict[str, Sequence]:
    """Data sets by name, ``'whole recipe'``, ``'mosaic only'`` and ``'no mosaic'``, with the plain pipeline.

    Loading, YOLOXHSVRandomAug, RandomCrop, Resize, Pad, Mosaic through MultiImageMixDataset, RandomFlip and
    PackDetInputs are mmdet's. Where mmdet has nothing, both sides take ours: blur and noise (mmdet has albumentations'
    only, which it does not install), RandomPerspective (mmdet's RandomAffine with another matrix, at the same cost a
    pixel) and FilterBoxes. So the boxes have the distribution of the recipe; the pixels differ in how the jitter of
    colours is drawn.

    Args:
        cfg: The recipe, with any of its knobs turned.
        dataset: Its training set; the plain ones share its annotations.

    Raises:
        UserError: If the config is another recipe's.
    """
    missing = [name for name in NEEDED if name not in cfg]
    if missing:
        raise UserError(
            f'the plain composition is that of the 640-pixel recipe, and the config has no {", ".join(missing)}: '
            'give another config to --against'
        )
    side = cfg.long_side
    square = (side, side)
    colour = dict(
        type='RandomChoice',
        transforms=[
            [],
            # What the recipe's gains of .014, .68 and .36 add to middling levels of 90, 100 and 115.
            [dict(type='YOLOXHSVRandomAug', hue_delta=1, saturation_delta=68, value_delta=41)],
            [dict(type='sparse_rcnn_ext.RandomBlur', kernel_sizes=(3, 5))],
            [dict(type='sparse_rcnn_ext.GaussianNoise', std_range=(2.0, 15.0))],
        ],
    )
    load = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True), colour]
    warp, drop = cfg.warp, cfg.drop
    finish = [drop, *cfg.train_pipeline[-2:]]
    crop = dict(type='RandomApply', transforms=[cfg.crop, drop], prob=0.2)
    resize = dict(type='Resize', scale=square, keep_ratio=True)
    pad = dict(type='Pad', size=square, pad_val=dict(img=tuple(cfg.grey)))
    basic = with_pipeline(dataset, Compose([*load, crop, resize, pad, warp, *finish]))
    mosaic = MultiImageMixDataset(
        with_pipeline(dataset, Compose(load)),
        [
            dict(type='Mosaic', img_scale=square, pad_val=float(cfg.grey[0]), bbox_clip_border=False),
            dict(warp, border=(-side // 2, -side // 2)),
            *finish,
        ],
    )
    return {
        'whole recipe': EitherDataset(mosaic, basic, share=0.8),
        'mosaic only': mosaic,
        'no mosaic': basic,
    }


def with_pipeline(dataset: BaseDataset, pipeline: Compose) -> BaseDataset:
    """A data set of the same images and annotations, which are shared, with another pipeline."""
    other = copy.copy(dataset)
    other.pipeline = pipeline
    return other
