"""A detector that finds most objects of a tiny data set, without a training."""

import json
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from sparse_rcnn_ext.engine.config.run_config import load_config
from sparse_rcnn_ext.prediction import Predictor
from tests.models.small_model import initialise
from tests.tools.conftest import TINY

REPO = Path(__file__).resolve().parents[2]
CLASSES = ('ant', 'bee', 'cat')
SIZE = (96, 64)


def write_known_detector(folder: Path) -> tuple[Path, Path]:
    """Write three images, a config that trains, validates and tests on them, and random weights.

    The objects in the images are nearly some of the detections of the weights, whose AP is in the middle.
    """
    images = [dict(id=number, file_name=f'{number}.png', width=96, height=64) for number in (1, 2, 3)]
    for image in images:
        pixels = np.random.default_rng(image['id']).integers(0, 256, (64, 96, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / image['file_name']), pixels)
    content = dict(images=images, categories=[dict(id=key, name=name) for key, name in enumerate(CLASSES, start=1)])
    cfg = Config.fromfile(REPO / 'configs/sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py')
    cfg.merge_from_dict(TINY)
    cfg.merge_from_dict({'model.roi_head.bbox_head.num_classes': 3, 'model.test_cfg.max_per_img': 30})
    for phase in ('train', 'val', 'test'):
        loader = cfg[f'{phase}_dataloader']
        loader.update(num_workers=0, persistent_workers=False)
        loader.dataset.update(data_root=str(folder), ann_file='truth.json', data_prefix=dict(img=''))
        loader.dataset.metainfo = dict(classes=CLASSES)
        loader.dataset.pipeline[2 if phase == 'train' else 1].scale = SIZE
    cfg.val_evaluator.ann_file = cfg.test_evaluator.ann_file = str(folder / 'truth.json')
    cfg.dump(folder / 'tiny.py')
    init_default_scope('mmdet')
    model = initialise(cfg)
    torch.save(dict(state_dict=model.state_dict(), meta=dict(dataset_meta=dict(classes=CLASSES))), folder / 'tiny.pth')
    content['annotations'] = []
    predictor = Predictor(load_config(str(folder / 'tiny.py'), None, None), str(folder / 'tiny.pth'), 'cpu')
    for image in images:
        (found,) = predictor.predict([cv2.imread(str(folder / image['file_name']))])
        for box, label in zip(found.bboxes[3:12].clamp(min=0).tolist(), found.labels[3:12].tolist()):
            left, top, width, height = box[0], box[1], box[2] - box[0] - 1, box[3] - box[1] - 2
            key = len(content['annotations']) + 1
            entry = dict(id=key, image_id=image['id'], category_id=label + 1, bbox=[left, top, width, height])
            content['annotations'].append(dict(entry, area=width * height, iscrowd=0))
    (folder / 'truth.json').write_text(json.dumps(content))
    return folder / 'tiny.py', folder / 'tiny.pth'
