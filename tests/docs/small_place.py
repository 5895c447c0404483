"""A folder in which the documented commands can be typed as they stand: small recipes, data, weights and pictures."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from sparse_rcnn_ext.registry import MODELS
from tests.datasets.convert.minis import make_crowdhuman, make_voc, make_yolo
from tests.datasets.tiny_coco import categories, cats_and_dogs, write

COCO = 'sparse-rcnn_r50_fpn_1x_coco'
SHAPES = 'sparse-rcnn_lite0_fpn_shapes'
BCCD = 'sparse-rcnn_lite0_fpn_bccd'
# Where the pages have weights of a recipe.
WEIGHTS = {
    COCO: ('CHECKPOINT', 'CHECKPOINT.pth', f'work_dirs/{COCO}/epoch_12.pth'),
    SHAPES: (f'work_dirs/{SHAPES}/epoch_12.pth',),
    BCCD: (f'work_dirs/{BCCD}/epoch_24.pth',),
}
SIDE = 96

# What makes a recipe small, in the files that all of them are made of: file, text, text in its place.
SMALLER = (
    ('_base_/models/sparse-rcnn_r50_fpn.py', 'depth=50,', 'depth=18, base_channels=8, stem_channels=8,'),
    (
        '_base_/models/sparse-rcnn_r50_fpn.py',
        "init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50'),",
        '',
    ),
    ('_base_/models/sparse-rcnn_r50_fpn.py', 'in_channels=[256, 512, 1024, 2048]', 'in_channels=[8, 16, 32, 64]'),
    ('_base_/models/sparse-rcnn_r50_fpn.py', 'out_channels=256', 'out_channels=32'),
    ('_base_/models/sparse-rcnn_r50_fpn.py', 'num_proposals=100', 'num_proposals=20'),
    ('_base_/models/sparse-rcnn_r50_fpn.py', 'proposal_feature_channel=256', 'proposal_feature_channel=32'),
    ('_base_/models/sparse-rcnn_r50_fpn.py', 'num_stages=6', 'num_stages=3'),
    ('_base_/models/sparse-rcnn_r50_fpn.py', '            in_channels=256', '            in_channels=32'),
    ('_base_/models/sparse-rcnn_r50_fpn.py', 'feedforward_channels=2048', 'feedforward_channels=64'),
    ('_base_/models/sparse-rcnn_r50_fpn.py', 'feat_channels=64', 'feat_channels=8'),
    ('_base_/datasets/coco_detection.py', 'scale=(1333, 800)', f'scale=({SIDE}, {SIDE})'),
    ('_base_/datasets/shapes_coco.py', 'scale=(160, 160)', f'scale=({SIDE}, {SIDE})'),
    ('_base_/datasets/bccd.py', 'scale=(320, 240)', f'scale=({SIDE}, {SIDE})'),
    ('_base_/datasets/coco_detection.py', 'num_workers=2', 'num_workers=0'),
    ('_base_/datasets/coco_detection.py', 'persistent_workers=True', 'persistent_workers=False'),
    ('_base_/schedules/schedule_1x.py', 'max_epochs=12', 'max_epochs=1'),
    (
        '_base_/default_runtime.py',
        "type='sparse_rcnn_ext.ReportHook'",
        "type='sparse_rcnn_ext.ReportHook', enabled=False",
    ),
    ('sparse_rcnn/sparse-rcnn_lite0_fpn_best_shapes.py', 'max_epochs = 10', 'max_epochs = 1'),
    ('sparse_rcnn/sparse-rcnn_r50_fpn_own-data.py', 'long_side = 640', f'long_side = {SIDE}'),
    ('sparse_rcnn/sparse-rcnn_r50_fpn_own-data.py', 'max_epochs = 50', 'max_epochs = 1'),
    ('sparse_rcnn/sparse-rcnn_r50_fpn_own-data.py', 'num_workers = 2', 'num_workers = 0'),
    ('sparse_rcnn/sparse-rcnn_r50_fpn_128-proposals_640-3x_coco.py', 'max_epochs = 36', 'max_epochs = 1'),
    ('sparse_rcnn/sparse-rcnn_r50_fpn_128-proposals_640-3x_coco.py', 'long_side = 640', f'long_side = {SIDE}'),
)


def make_place(folder: Path, repo: Path) -> Path:
    """Fill ``folder``, as if it were the repository after ``make install``; returns it."""
    (folder / 'tools').symlink_to(repo / 'tools')
    (folder / 'requirements').symlink_to(repo / 'requirements')
    shutil.copytree(repo / 'configs', folder / 'configs')
    for name, text, smaller in SMALLER:
        path = folder / 'configs' / name
        content = path.read_text(encoding='utf-8')
        if text not in content:
            raise ValueError(f'configs/{name} has no {text!r} any more')
        path.write_text(content.replace(text, smaller), encoding='utf-8')
    make_data(folder)
    make_pictures(folder)
    make_weights(folder)
    return folder


def make_data(folder: Path) -> None:
    """COCO with all 80 classes, BCCD, Roboflow, one file for all images, VOC and YOLO in one folder, CrowdHuman."""
    names = Config.fromfile(folder / 'configs/_base_/datasets/coco_detection.py').classes
    ids = {name: number for number, name in enumerate(names, start=1)}
    for first, split in ((0, 'train'), (10, 'val')):
        content = cats_and_dogs(3, first, **ids)
        for category in content['categories']:
            category['supercategory'] = 'thing'  # mmdet's coco_error_analysis wants it
        root = folder / 'data/coco'
        write(root / f'annotations/instances_{split}2017.json', content, root / f'{split}2017')
        pets = folder / 'data/mine' / ('valid' if split == 'val' else split)
        write(pets / '_annotations.coco.json', cats_and_dogs(4, first), pets)
    write(folder / 'data/whole/all.json', cats_and_dogs(5), folder / 'data/whole/images')
    (folder / 'path/to').mkdir(parents=True)
    (folder / 'path/to/coco').symlink_to(folder / 'data/coco')
    (folder / 'COCO').symlink_to(folder / 'data/coco')
    for first, split in ((0, 'train'), (10, 'val'), (20, 'test')):
        content = cats_and_dogs(4, first) | dict(categories=categories(RBC=3, WBC=7, Platelets=9))
        write(folder / f'data/bccd/coco/{split}.json', content, folder / 'data/bccd/JPEGImages')
    make_voc(folder / 'data/cells', ('round', 'long'), {'train': range(4), 'val': range(4, 6)})
    make_yolo(folder / 'data/cells')
    make_crowdhuman(folder / 'data/crowdhuman')
    boxes = [
        dict(image_id=number, category_id=ids[name], bbox=[4, 6, 30, 20], score=0.9 - 0.1 * number % 3)
        for number in (10, 11, 12)
        for name in ('cat', 'dog')
    ]
    (folder / 'detections.json').write_text(json.dumps(boxes))
    content = json.loads((folder / 'data/coco/annotations/instances_val2017.json').read_text())
    content['categories'] = [entry for entry in content['categories'] if entry['name'] in ('cat', 'dog')]
    (folder / 'two_classes.json').write_text(json.dumps(content))


def make_pictures(folder: Path) -> None:
    """What the pages call photographs and videos."""
    pixels = np.random.default_rng(0).integers(0, 255, (SIDE, 2 * SIDE, 3), dtype=np.uint8)
    (folder / 'photos').mkdir()
    for name in ('photos/a.jpg', 'photos/b.png', 'one.jpg', 'another.jpg', 'photo.jpg', 'aerial.tif'):
        cv2.imwrite(str(folder / name), pixels)
    shutil.copy(folder / 'one.jpg', folder / 'IMAGE')
    video = cv2.VideoWriter(str(folder / 'clip.mp4'), cv2.VideoWriter_fourcc(*'mp4v'), 5, (2 * SIDE, SIDE))
    for _ in range(2):
        video.write(pixels)
    video.release()


def make_weights(folder: Path) -> None:
    """Untrained weights that fit the small recipes, wherever a page has a checkpoint."""
    init_default_scope('mmdet')
    for recipe, names in WEIGHTS.items():
        cfg = Config.fromfile(folder / f'configs/sparse_rcnn/{recipe}.py')
        torch.manual_seed(0)
        model = MODELS.build(cfg.model)
        model.init_weights()
        content = dict(meta=dict(dataset_meta=dict(classes=cfg.classes)), state_dict=model.state_dict())
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            torch.save(content, folder / name)
