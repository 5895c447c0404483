"""A small model learns eight real COCO images by heart, through the tools that users run."""

import json
import re
from pathlib import Path

import pytest

CONFIG = """
_base_ = {bases}
image_root = {image_root!r}
ann_file = {ann_file!r}
model = dict(
    backbone=dict(frozen_stages=4),
    neck=dict(out_channels=64),
    rpn_head=dict(num_proposals=20, proposal_feature_channel=64),
    roi_head=dict(num_stages=2, bbox_head=dict(in_channels=64, feedforward_channels=256)),
)
pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(128, 128), keep_ratio=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
dataset = dict(
    _delete_=True, type='CocoDataset', ann_file=ann_file, data_prefix=dict(img=image_root), pipeline=pipeline)
train_dataloader = dict(
    batch_size=4, num_workers=0, persistent_workers=False, batch_sampler=None,
    dataset=dict(_delete_=True, type='RepeatDataset', times={repeats}, dataset=dict(
        type='CocoDataset', ann_file=ann_file, data_prefix=dict(img=image_root), pipeline=pipeline)))
val_dataloader = dict(batch_size=4, num_workers=0, persistent_workers=False, dataset=dict(dataset, test_mode=True))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=ann_file)
test_evaluator = val_evaluator
train_cfg = dict(max_epochs=1, val_interval=100)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=20),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=20, end={iterations}, eta_min=0),
]
optim_wrapper = dict(optimizer=dict(lr=2e-3))
default_hooks = dict(report=dict(enabled=False))
"""
ITERATIONS = 360


def eight_images(shared_dir, folder):
    """Annotations of the eight images of lowest number with 4 to 9 boxes, none a crowd or less than a tenth as long."""
    truth = json.loads((shared_dir / 'data/coco_mini/annotations/instances_train2017.json').read_text())
    sides = {image['id']: max(image['width'], image['height']) for image in truth['images']}
    boxes = {number: [] for number in sides}
    for annotation in truth['annotations']:
        boxes[annotation['image_id']].append(annotation)
    fits = [
        number
        for number, found in boxes.items()
        if 4 <= len(found) <= 9 and not any(a['iscrowd'] or 10 * max(a['bbox'][2:]) < sides[number] for a in found)
    ]
    chosen = sorted(fits)[:8]
    truth['images'] = [image for image in truth['images'] if image['id'] in chosen]
    truth['annotations'] = [annotation for annotation in truth['annotations'] if annotation['image_id'] in chosen]
    path = folder / 'eight.json'
    path.write_text(json.dumps(truth))
    return path


@pytest.mark.slow
def test_overfits_eight_images(shared_dir, repo_dir, run_tool, tmp_path):
    ann_file = eight_images(shared_dir, tmp_path)
    bases = ['models/sparse-rcnn_lite0_fpn', 'datasets/coco_detection', 'schedules/schedule_1x', 'default_runtime']
    config = tmp_path / 'overfit.py'
    config.write_text(
        CONFIG.format(
            bases=[str(Path(repo_dir, 'configs/_base_', f'{base}.py')) for base in bases],
            image_root=str(shared_dir / 'data/coco_mini/train2017'),
            ann_file=str(ann_file),
            iterations=ITERATIONS,
            repeats=ITERATIONS // 2,  # eight images in batches of four
        )
    )
    work_dir = tmp_path / 'run'
    trained = run_tool('train.py', config, '--work-dir', work_dir, '--seed', 0, cwd=tmp_path)
    assert trained.returncode == 0, trained.stdout[-3000:]
    tested = run_tool('test.py', config, work_dir / 'epoch_1.pth', '--work-dir', work_dir, cwd=tmp_path)
    assert tested.returncode == 0, tested.stdout[-3000:]
    ap = re.search(r'IoU=0\.50:0\.95 \| area=   all \| maxDets=100 \] = (\S+)', tested.stdout)[1]
    assert float(ap) >= 0.80
