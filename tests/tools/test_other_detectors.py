"""predict.py with detectors of mmdet's own."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.apis import inference_detector, init_detector
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.prediction import Predictor

CLASSES = ('ant', 'bee', 'cat')
BACKBONE = dict(type='ResNet', depth=18, base_channels=4, stem_channels=4, norm_eval=True)
NECK = dict(type='FPN', in_channels=[4, 8, 16, 32], out_channels=8, num_outs=5)
ANCHORS = dict(type='AnchorGenerator', scales=[4], ratios=[1.0], strides=[4, 8, 16, 32, 64])
CODER = dict(type='DeltaXYWHBBoxCoder')
NMS = dict(type='nms', iou_threshold=0.5)
ROI_LAYER = dict(type='RoIAlign', output_size=7, sampling_ratio=0)
BOX_HEAD = dict(
    type='Shared2FCBBoxHead', in_channels=8, fc_out_channels=16, roi_feat_size=7, num_classes=3, bbox_coder=CODER
)
EXTRACTOR = dict(type='SingleRoIExtractor', roi_layer=ROI_LAYER, out_channels=8, featmap_strides=[4, 8, 16, 32])
RPN_HEAD = dict(type='RPNHead', in_channels=8, feat_channels=8, anchor_generator=ANCHORS, bbox_coder=CODER)
RPN_TEST = dict(nms_pre=100, max_per_img=50, nms=dict(type='nms', iou_threshold=0.7), min_bbox_size=0)
BOX_TEST = dict(score_thr=0.0, nms=NMS, max_per_img=20)
MODELS_OF_MMDET = {
    'FasterRCNN': dict(
        rpn_head=RPN_HEAD,
        roi_head=dict(type='StandardRoIHead', bbox_roi_extractor=EXTRACTOR, bbox_head=BOX_HEAD),
        test_cfg=dict(rpn=RPN_TEST, rcnn=BOX_TEST),
    ),
    'CascadeRCNN': dict(
        rpn_head=RPN_HEAD,
        roi_head=dict(
            type='CascadeRoIHead',
            num_stages=2,
            stage_loss_weights=[1, 0.5],
            bbox_roi_extractor=EXTRACTOR,
            bbox_head=[BOX_HEAD, BOX_HEAD],
        ),
        test_cfg=dict(rpn=RPN_TEST, rcnn=BOX_TEST),
    ),
    'RetinaNet': dict(
        bbox_head=dict(
            type='RetinaHead', num_classes=3, in_channels=8, feat_channels=8, stacked_convs=1, anchor_generator=ANCHORS
        ),
        test_cfg=dict(nms_pre=100, min_bbox_size=0, score_thr=0.0, nms=NMS, max_per_img=20),
    ),
}


def save(kind: str, folder: Path) -> tuple[Path, Path]:
    """A config and a checkpoint with random weights."""
    steps = [
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(128, 96), keep_ratio=True),
        dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
    ]
    preprocessor = dict(type='DetDataPreprocessor', mean=[120.0] * 3, std=[60.0] * 3, pad_size_divisor=32)
    parts = dict(backbone=BACKBONE, neck=NECK, train_cfg=None, **MODELS_OF_MMDET[kind])
    cfg = Config(
        dict(
            default_scope='mmdet',
            model=dict(type=kind, data_preprocessor=preprocessor, **parts),
            test_dataloader=dict(dataset=dict(type='CocoDataset', pipeline=steps)),
        )
    )
    cfg.dump(folder / 'other.py')
    init_default_scope('mmdet')
    torch.manual_seed(0)
    state = MODELS.build(cfg.model).state_dict()
    torch.save(dict(state_dict=state, meta=dict(dataset_meta=dict(classes=CLASSES))), folder / 'other.pth')
    return folder / 'other.py', folder / 'other.pth'


@pytest.mark.parametrize('kind', MODELS_OF_MMDET)
def test_detections_are_those_of_mmdets_api(tmp_path, kind):
    config, checkpoint = save(kind, tmp_path)
    predictor = Predictor(Config.fromfile(config), str(checkpoint), 'cpu')
    assert predictor.classes == CLASSES
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    (found,) = predictor.predict([image])
    expected = inference_detector(init_detector(str(config), str(checkpoint), device='cpu'), image).pred_instances
    assert len(found) == 20
    for field in ('bboxes', 'scores', 'labels'):
        torch.testing.assert_close(found[field], expected[field])


def test_files_of_the_tool(run_here, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = save('FasterRCNN', tmp_path)
    cv2.imwrite('a.png', np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8))
    run_here('predict.py', *files, 'a.png', '--out', 'shown', '--json', 'found.json', '--score-thr', 0)
    found = json.loads(Path('found.json').read_text())
    assert len(found) == 20 and {entry['category_id'] for entry in found} <= {1, 2, 3}
    assert (cv2.imread('shown/a.png') != cv2.imread('a.png')).any()
    with pytest.raises(SystemExit) as stop:
        run_here('predict.py', *files, 'a.png', '--stages', 1)
    assert str(stop.value) == 'error: --stages needs a sparse_rcnn_ext.SparseRCNN, and the model is a FasterRCNN'


def test_what_finds_no_classes_is_refused(tmp_path):
    config, checkpoint = save('FasterRCNN', tmp_path)
    cfg = Config.fromfile(config)
    cfg.model = dict(type='mmdet.ResNet', depth=18)
    torch.save(MODELS.build(cfg.model).state_dict(), checkpoint)
    with pytest.raises(UserError, match='a ResNet has no bbox_head with num_classes: give the config of a detector'):
        Predictor(cfg, str(checkpoint), 'cpu')
