"""A tiny data set whose numbers are known, and a Sparse R-CNN with random weights for it."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.datasets import BaseDetDataset
from mmdet.registry import DATASETS, MODELS
from mmengine.config import Config
from torch import Tensor

from tests.models.small_model import BASE
from tests.models.small_model import SIZES as SIZES_OF_MODEL

CLASSES = ('cat', 'dog', 'owl')
# Image by image: (x, y, width, height), category, crowd.
OBJECTS = (
    [((10, 10, 30, 20), 1, 0), ((60, 20, 25, 35), 2, 0), ((50, 5, 45, 12), 3, 1)],
    [],
    [((5, 30, 40, 50), 3, 0)],
)
SIZES = ((100, 60), (100, 60), (60, 90))


@pytest.fixture(scope='session')
def picture_config(tmp_path_factory) -> Config:
    """The config of the model and of three images, which the test pipeline enlarges."""
    folder = tmp_path_factory.mktemp('three images')
    images, annotations = [], []
    rng = np.random.default_rng(0)
    for number, (objects, (width, height)) in enumerate(zip(OBJECTS, SIZES), start=1):
        name = f'{number}.png'
        cv2.imwrite(str(folder / name), rng.integers(100, 140, (height, width, 3), dtype=np.uint8))
        images.append(dict(id=number, file_name=name, width=width, height=height))
        for box, category, crowd in objects:
            key = len(annotations) + 1
            annotations.append(
                dict(id=key, image_id=number, bbox=box, category_id=category, iscrowd=crowd, area=box[2] * box[3])
            )
    categories = [dict(id=key, name=name) for key, name in enumerate(CLASSES, start=1)]
    content = dict(images=images, annotations=annotations, categories=categories)
    (folder / 'truth.json').write_text(json.dumps(content))

    cfg = Config.fromfile(BASE)
    cfg.merge_from_dict(
        {
            **SIZES_OF_MODEL,
            'model.rpn_head.num_proposals': 12,
            'model.roi_head.num_stages': 2,
            'model.roi_head.bbox_head.num_classes': len(CLASSES),
            'default_scope': 'mmdet',
            'test_dataloader.dataset': dict(
                type='CocoDataset',
                data_root=str(folder),
                ann_file='truth.json',
                data_prefix=dict(img=''),
                metainfo=dict(classes=CLASSES),
                test_mode=True,
                pipeline=[
                    dict(type='LoadImageFromFile'),
                    dict(type='Resize', scale=(200, 150), keep_ratio=True),
                    dict(type='PackDetInputs', meta_keys=('img_shape', 'scale_factor')),
                ],
            ),
        }
    )
    return cfg


@pytest.fixture(scope='session')
def dataset(picture_config) -> BaseDetDataset:
    return DATASETS.build(picture_config.test_dataloader.dataset)


@pytest.fixture(scope='session')
def known_proposals() -> Tensor:
    """(12, 4) relative cxcywh, all different."""
    steps = torch.arange(12) / 12
    return torch.stack([0.2 + 0.6 * steps, 0.8 - 0.6 * steps, 0.1 + 0.2 * steps, 0.3 - 0.2 * steps], dim=1)


@pytest.fixture(scope='session')
def checkpoint(picture_config, known_proposals, tmp_path_factory) -> Path:
    """Random weights, but proposals of known places."""
    torch.manual_seed(0)
    model = MODELS.build(picture_config.model)
    model.init_weights()
    with torch.no_grad():
        model.rpn_head.init_proposal_bboxes.weight.copy_(known_proposals)
    path = tmp_path_factory.mktemp('weights') / 'random.pth'
    torch.save(dict(state_dict=model.state_dict(), meta={}), path)
    return path
