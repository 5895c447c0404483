"""A semi-supervised training of mmdet's under the default hooks of the recipes."""

from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from tests.datasets.tiny_coco import cats_and_dogs, write
from tests.durability.compare import differences
from tests.tools.test_other_detectors import ANCHORS, BACKBONE, BOX_HEAD, MODELS_OF_MMDET, NECK

BRANCHES = ['sup', 'unsup_teacher', 'unsup_student']
META = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'homography_matrix')
VIEW = [
    dict(type='RandomResize', scale=[(80, 60), (96, 72)], keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs', meta_keys=(*META, 'flip', 'flip_direction')),
]
SUPERVISED = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='MultiBranch', branch_field=BRANCHES, sup=VIEW),
]
UNSUPERVISED = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadEmptyAnnotations'),
    dict(type='MultiBranch', branch_field=BRANCHES, unsup_teacher=VIEW, unsup_student=VIEW),
]
ASSIGNER = dict(type='MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.5, min_pos_iou=0.3, ignore_iof_thr=-1)
SAMPLER = dict(type='RandomSampler', num=16, pos_fraction=0.5, neg_pos_ub=-1)
TEACHING = dict(pseudo_label_initial_score_thr=0.0, rpn_pseudo_thr=0.0, cls_pseudo_thr=0.0, reg_pseudo_thr=9.0)


def detector() -> dict:
    """Faster R-CNN for two classes."""
    parts = MODELS_OF_MMDET['FasterRCNN']
    preprocessor = dict(type='DetDataPreprocessor', mean=[120.0] * 3, std=[60.0] * 3, pad_size_divisor=32)
    settings = dict(assigner=ASSIGNER, sampler=SAMPLER, allowed_border=-1, pos_weight=-1, debug=False)
    of_anchors = settings | dict(sampler=dict(SAMPLER, add_gt_as_proposals=False))
    train_cfg = dict(rpn=of_anchors, rpn_proposal=parts['test_cfg']['rpn'], rcnn=settings)
    rpn_head = dict(parts['rpn_head'], anchor_generator=dict(ANCHORS, scales=[2]))
    roi_head = dict(parts['roi_head'], bbox_head=dict(BOX_HEAD, num_classes=2))
    network = dict(backbone=BACKBONE, neck=NECK, data_preprocessor=preprocessor, train_cfg=train_cfg)
    return dict(type='FasterRCNN', **network, **parts | dict(rpn_head=rpn_head, roi_head=roi_head))


@pytest.fixture
def config(repo_dir, tmp_path) -> Path:
    """Soft Teacher on four images with labels and four without, two of each in a batch."""
    path = write(tmp_path / 'truth.json', cats_and_dogs(8), tmp_path / 'images')
    data = dict(type='CocoDataset', ann_file=str(path), data_prefix=dict(img=f'{tmp_path}/images/'))
    data['metainfo'] = dict(classes=('cat', 'dog'))
    parts = [dict(data, pipeline=SUPERVISED, indices=4), dict(data, pipeline=UNSUPERVISED, indices=[4, 5, 6, 7])]
    network = detector()
    branches = dict(type='MultiBranchDataPreprocessor', data_preprocessor=network['data_preprocessor'])
    teaching = dict(freeze_teacher=True, sup_weight=1.0, unsup_weight=4.0, min_pseudo_bbox_wh=(1e-2, 1e-2), **TEACHING)
    cfg = Config.fromfile(repo_dir / 'configs/_base_/default_runtime.py')
    cfg.update(
        model=dict(
            type='SoftTeacher',
            detector=network,
            data_preprocessor=branches,
            semi_train_cfg=dict(teaching, jitter_times=2, jitter_scale=0.06),
            semi_test_cfg=dict(predict_on='teacher'),
        ),
        train_dataloader=dict(
            batch_size=4,
            num_workers=0,
            sampler=dict(type='GroupMultiSourceSampler', batch_size=4, source_ratio=[1, 1]),
            dataset=dict(type='ConcatDataset', datasets=parts),
        ),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=3),
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01)),
        custom_hooks=[dict(type='MeanTeacherHook')],
    )
    cfg.default_hooks.checkpoint.update(interval=1, by_epoch=False, save_best=None)
    cfg.default_hooks.report.enabled = False
    cfg.dump(tmp_path / 'semi.py')
    return tmp_path / 'semi.py'


def weights(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)['state_dict']


@pytest.mark.parametrize('sampler', ['MultiSourceSampler', 'GroupMultiSourceSampler'])
def test_starts_from_a_plain_detector_and_resumes(config, run_here, tmp_path, sampler):
    init_default_scope('mmdet')
    plain = MODELS.build(Config(detector())).state_dict()
    torch.save(dict(state_dict=plain), tmp_path / 'plain.pth')
    options = ['--seed', 0, '--cfg-options', f'train_dataloader.sampler.type={sampler}']
    start = f'load_from={tmp_path}/plain.pth'
    run_here('train.py', config, '--work-dir', tmp_path / 'whole', *options, start)
    first, last = tmp_path / 'whole/iter_1.pth', tmp_path / 'whole/iter_3.pth'
    # The teacher follows the student slowly, who has done one step from the same weights.
    name = 'backbone.conv1.weight'
    assert torch.allclose(weights(first)[f'teacher.{name}'], plain[name], atol=1e-3)
    assert differences(first, last) != []
    run_here('train.py', config, '--work-dir', tmp_path / 'again', '--resume', first, *options)
    assert (tmp_path / 'again/iter_3.pth').is_file()
    if sampler == 'MultiSourceSampler':  # the other draws numbers itself
        assert differences(last, tmp_path / 'again/iter_3.pth') == []
