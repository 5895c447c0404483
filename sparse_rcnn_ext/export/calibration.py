"""Images by which a detector is quantized."""

import random
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from tqdm import tqdm

from sparse_rcnn_ext.datasets.image_loading import dataset_picture
from sparse_rcnn_ext.engine.config_parts import scope_of
from sparse_rcnn_ext.engine.data_paths import check_data_paths
from sparse_rcnn_ext.engine.errors import UserError
from sparse_rcnn_ext.prediction.image_file import UnreadableError, read_image
from sparse_rcnn_ext.prediction.sources import find_sources

SPLITS = ('train', 'val', 'test')
SEED = 0


def calibration_images(cfg: Config, source: str, count: int) -> Iterator[np.ndarray]:
    """Images as they are before any pipeline, drawn without repetition, the same ones each time; with progress.

    Args:
        cfg: Of which a split is taken.
        source: One of :data:`SPLITS`, or a folder.
        count: How many; fewer where there are not so many.

    Returns:
        Each (H, W, 3) uint8 RGB.

    Raises:
        UserError: If there are none, or one cannot be read.
    """
    total, read = _split(cfg, source) if source in SPLITS else _folder(source)
    places = random.Random(SEED).sample(range(total), min(count, total))
    return _read_all(read, places)


def _read_all(read: Callable[[int], np.ndarray], places: Sequence[int]) -> Iterator[np.ndarray]:
    """With a bar that starts when the first is taken."""
    for place in tqdm(places, desc='calibration', unit='image'):
        yield read(place)


def _split(cfg: Config, split: str) -> tuple[int, Callable[[int], np.ndarray]]:
    if not cfg.get(f'{split}_dataloader'):
        raise UserError(f'{cfg.filename} has no {split}_dataloader: give --calibrate a folder of images')
    check_data_paths(cfg, (split,))
    init_default_scope(scope_of(cfg))
    dataset = DATASETS.build(cfg[f'{split}_dataloader'].dataset)
    return len(dataset), partial(dataset_picture, dataset)


def _folder(folder: str) -> tuple[int, Callable[[int], np.ndarray]]:
    sources, problems = find_sources([folder])
    paths = [source.path for source in sources if not source.is_video]
    if not paths:
        raise UserError(f'--calibrate: {problems[0] if problems else f"{folder} has no images"}')

    def read(place: int) -> np.ndarray:
        try:
            return read_image(Path(paths[place]))[..., ::-1]
        except UnreadableError as error:
            raise UserError(f'--calibrate: {paths[place]} cannot be read ({error}): take it out') from error

    return len(paths), read
