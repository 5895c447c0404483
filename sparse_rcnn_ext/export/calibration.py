"""Images by which a detector is quantized."""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from tqdm import tqdm

from sparse_rcnn_ext.datasets.joined import find_image
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
    paths = _split(cfg, source) if source in SPLITS else _folder(source)
    return _read(random.Random(SEED).sample(paths, min(count, len(paths))))


def _read(paths: Sequence[str]) -> Iterator[np.ndarray]:
    """With a bar that starts when the first is taken."""
    for path in tqdm(paths, desc='calibration', unit='image'):
        try:
            yield read_image(Path(path))[..., ::-1]
        except UnreadableError as error:
            raise UserError(f'--calibrate: {path} cannot be read ({error}): take it out') from error


def _split(cfg: Config, split: str) -> list[str]:
    if not cfg.get(f'{split}_dataloader'):
        raise UserError(f'{cfg.filename} has no {split}_dataloader: give --calibrate a folder of images')
    check_data_paths(cfg, (split,))
    init_default_scope(scope_of(cfg))
    dataset = DATASETS.build(cfg[f'{split}_dataloader'].dataset)
    places = (find_image(dataset, index) for index in range(len(dataset)))
    return [part.get_data_info(place)['img_path'] for part, place in places]


def _folder(folder: str) -> list[str]:
    sources, problems = find_sources([folder])
    paths = [source.path for source in sources if not source.is_video]
    if not paths:
        raise UserError(f'--calibrate: {problems[0] if problems else f"{folder} has no images"}')
    return paths
