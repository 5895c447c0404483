"""How many training images a second one process prepares, and where its time goes; mmdet's pipeline beside."""

import copy
import random
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

import numpy as np
from mmcv.transforms import BaseTransform, Compose, RandomChoice
from mmdet.datasets import MultiImageMixDataset
from mmengine.config import Config
from mmengine.dataset import BaseDataset

from sparse_rcnn_ext.errors import UserError

LEAST_ROUNDS = 3
REST = 'data set and the rest'


@dataclass(frozen=True)
class Speed:
    """Images a second of one pipeline, or of two by turns, in each round."""

    first: tuple[float, ...]
    second: tuple[float, ...] = ()

    @property
    def ratios(self) -> tuple[float, ...]:
        """First to second, in each round."""
        return tuple(one / other for one, other in zip(self.first, self.second))

    @property
    def medians(self) -> tuple[float, ...]:
        """Of the first and, if there is one, of the second."""
        return tuple(median(values) for values in (self.first, self.second) if values)


def recipe_variants(dataset: BaseDataset) -> dict[str, Sequence]:
    """The data set as it is, ``'whole recipe'``, and, where its pipeline chooses between branches with a mosaic and
    without, ``'mosaic only'`` and ``'no mosaic'``.

    Args:
        dataset: With a pipeline of mmcv's transforms.
    """
    variants = {'whole recipe': dataset}
    steps = list(dataset.pipeline.transforms)
    for place, step in enumerate(steps):
        if not isinstance(step, RandomChoice):
            continue
        shares = step.prob or [1 / len(step.transforms)] * len(step.transforms)
        mosaic = [any('Mosaic' in type(part).__name__ for part in walk(branch)) for branch in step.transforms]
        for name, wanted in (('mosaic only', True), ('no mosaic', False)):
            part = [share * (has == wanted) for share, has in zip(shares, mosaic, strict=True)]
            if 0 < sum(part) < sum(shares):
                choice = copy.copy(step)
                choice.prob = [share / sum(part) for share in part]
                variants[name] = with_pipeline(dataset, Compose([*steps[:place], choice, *steps[place + 1 :]]))
    return variants


def walk(transform: object) -> Iterator[object]:
    """A transform and all that it consists of."""
    yield transform
    for part in getattr(transform, 'transforms', None) or ():
        yield from walk(part)


def measure_speed(datasets: Sequence[Sequence], images: int, seconds: float, seed: int = 0) -> Speed:
    """Prepare images with one or two data sets by turns, after a round that is not measured.

    Measured is the time of the processor, not that of the clock: other programs disturb it less, and waiting for the
    disk is left out. Every round has its own seed, and both data sets get the same seed and images.

    Args:
        datasets: One or two.
        images: How many to prepare in a round.
        seconds: Measuring stops when so many have passed, but not before the third round.
        seed: Of the first round.
    """
    found = [[] for _ in datasets]
    started = time.perf_counter()
    number = -1
    while number < LEAST_ROUNDS or time.perf_counter() - started < seconds:
        # Whoever is first finds the files and caches as the other left them, so they take turns at that too.
        order = range(len(datasets)) if number % 2 else reversed(range(len(datasets)))
        for which in order:
            speed = images / _prepare(datasets[which], images, seed + number + 1)
            if number >= 0:
                found[which].append(speed)
        number += 1
        if number == 0:
            started = time.perf_counter()
    return Speed(*map(tuple, found))


def time_by_transform(dataset: Sequence, images: int, seed: int = 0) -> dict[str, float]:
    """Milliseconds an image by the class of the transform, without what it calls of other transforms; most first.

    Args:
        dataset: Whose pipeline is made of mmcv's transforms; what they do not account for is the last row.
        images: How many to prepare.
        seed: Of the random numbers.
    """
    with _timed_transforms() as seconds:
        total = _prepare(dataset, images, seed)
    rows = sorted(seconds.items(), key=lambda row: -row[1])
    rows.append((REST, total - sum(seconds.values())))
    return {name: value / images * 1e3 for name, value in rows}


def _prepare(dataset: Sequence, images: int, seed: int) -> float:
    """Seconds of the processor for ``images`` samples."""
    random.seed(seed)
    np.random.seed(seed)
    indices = np.random.permutation(max(images, len(dataset)))[:images] % len(dataset)
    before = time.process_time()
    for index in indices.tolist():
        dataset[index]
    return time.process_time() - before


@contextmanager
def _timed_transforms() -> Iterator[dict[str, float]]:
    """Seconds by class of all transforms called meanwhile."""
    seconds = defaultdict(float)
    inner = [0.0]  # seconds of the transforms that each running one has called
    plain_call = BaseTransform.__call__

    def timed_call(transform: BaseTransform, results: dict) -> dict | None:
        inner.append(0.0)
        before = time.process_time()
        try:
            return plain_call(transform, results)
        finally:
            spent = time.process_time() - before
            seconds[type(transform).__name__] += spent - inner.pop()
            inner[-1] += spent

    BaseTransform.__call__ = timed_call
    try:
        yield seconds
    finally:
        BaseTransform.__call__ = plain_call


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
