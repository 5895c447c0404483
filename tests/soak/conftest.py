"""The tiniest training of which all parts take part."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config

from tests.models.small_model import SIZES
from tests.prediction.conftest import tiny_detector

__all__ = ['soak_config', 'start_tool', 'tiny_detector']

CLASSES = ('dark', 'light')
IMAGES = 16
WIDTH, HEIGHT = 64, 48


def write_data(folder: Path) -> Path:
    """Images with two rectangles each, and their annotations; the annotation file."""
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for number in range(IMAGES):
        picture = rng.integers(100, 156, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        for label, level in enumerate((0, 255)):
            x, y = (int(value) for value in rng.integers(0, (40, 28)))
            picture[y : y + 16, x : x + 20] = level
            box = dict(bbox=[x, y, 20, 16], area=320, iscrowd=0)
            annotations.append(dict(box, id=len(annotations) + 1, image_id=number, category_id=label))
        cv2.imwrite(str(folder / f'{number}.png'), picture)
        images.append(dict(id=number, file_name=f'{number}.png', width=WIDTH, height=HEIGHT))
    categories = [dict(id=label, name=name) for label, name in enumerate(CLASSES)]
    file = folder / 'annotations.json'
    file.write_text(json.dumps(dict(images=images, annotations=annotations, categories=categories)))
    return file


@pytest.fixture(scope='session')
def soak_config(tmp_path_factory, repo_dir) -> Callable[..., Path]:
    """``soak_config(**changes)`` writes a config: one stage, 5 proposals, two workers for each data loader."""
    data = write_data(tmp_path_factory.mktemp('data'))
    recipe = Config.fromfile(repo_dir / 'configs/sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py')
    recipe.merge_from_dict(
        SIZES
        | {
            'model.backbone.depth': 18,
            'model.neck.in_channels': [4, 8, 16, 32],
            'model.rpn_head.num_proposals': 5,
            'model.roi_head.num_stages': 1,
            'model.roi_head.bbox_head.num_classes': len(CLASSES),
            'train_dataloader.dataset.pipeline.2.scale': (WIDTH, HEIGHT),
            'default_hooks.report.enabled': False,
        }
    )
    for split in ('train', 'val', 'test'):
        loader = recipe[f'{split}_dataloader']
        loader.update(batch_size=2, num_workers=2, persistent_workers=split == 'train')
        loader.dataset.update(
            data_root=f'{data.parent}/',
            ann_file=data.name,
            data_prefix=dict(img=''),
            metainfo=dict(classes=CLASSES),
        )
        if split != 'train':
            loader.dataset.pipeline[1].scale = (WIDTH, HEIGHT)
            recipe[f'{split}_evaluator'].ann_file = str(data)

    def write(**changes: object) -> Path:
        cfg = Config(recipe.to_dict())
        cfg.merge_from_dict(changes)
        path = tmp_path_factory.mktemp('config') / 'soak.py'
        cfg.dump(path)
        return path

    return write


@pytest.fixture
def start_tool(repo_dir, tmp_path, monkeypatch) -> Callable[..., subprocess.Popen]:
    """``start_tool(name, *arguments)`` starts tools/NAME in ``tmp_path``; its output goes to log.txt there."""
    for name, value in {'OMP_NUM_THREADS': '1', 'CUDA_VISIBLE_DEVICES': ''}.items():
        monkeypatch.setenv(name, value)

    def start(name: str, *arguments: object) -> subprocess.Popen:
        command = [sys.executable, str(repo_dir / 'tools' / name), *map(str, arguments)]
        with (tmp_path / 'log.txt').open('wb') as log:
            return subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=subprocess.STDOUT)

    return start
