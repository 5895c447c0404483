"""A tiny detector in two files, as a training leaves it."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from tests.models.small_model import SIZES, initialise

CLASSES = ('ant', 'bee', 'cat', 'dog', 'emu')


@pytest.fixture(scope='module')
def tiny_detector(tmp_path_factory, repo_dir, mmdet_scope) -> tuple[Path, Path]:
    """A config and its checkpoint: 3 stages, 10 proposals, images fitted into 160×96 pixels."""
    cfg = Config.fromfile(repo_dir / 'configs/sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py')
    cfg.merge_from_dict({**SIZES, 'test_dataloader.dataset.pipeline.1.scale': (160, 96)})
    folder = tmp_path_factory.mktemp('tiny')
    cfg.dump(folder / 'tiny.py')
    state = initialise(cfg, seed=3).state_dict()
    torch.save(dict(state_dict=state, meta=dict(dataset_meta=dict(classes=CLASSES))), folder / 'tiny.pth')
    return folder / 'tiny.py', folder / 'tiny.pth'
