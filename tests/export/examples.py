"""Detectors with weights that give spread scores and boxes, and images for them."""

from pathlib import Path

import cv2
import numpy as np
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from torch.nn.modules.batchnorm import _BatchNorm

from sparse_rcnn_ext.export import Detector
from sparse_rcnn_ext.export.check import TOLERANCES, compare, run_eager, run_file
from sparse_rcnn_ext.export.runtime.network_input import Batch
from sparse_rcnn_ext.models import SparseRCNN

KINDS = ('onnx', 'openvino', 'torchscript')

TINY = {
    'model.backbone.depth': 18,
    'model.backbone.base_channels': 8,
    'model.backbone.stem_channels': 8,
    'model.neck.in_channels': [8, 16, 32, 64],
    'model.neck.out_channels': 32,
    'model.rpn_head.num_proposals': 20,
    'model.rpn_head.proposal_feature_channel': 32,
    'model.roi_head.num_stages': 2,
    'model.roi_head.bbox_head.in_channels': 32,
    'model.roi_head.bbox_head.feedforward_channels': 64,
    'model.roi_head.bbox_head.num_heads': 4,
    'model.roi_head.bbox_head.dynamic_conv_cfg.feat_channels': 8,
    'test_dataloader.dataset.pipeline.1.scale': (160, 96),
}


def read_recipe(repo_dir: Path, name: str = 'sparse-rcnn_r50_fpn_1x_coco', options: dict | None = None) -> Config:
    """A recipe with a backbone of no file's weights."""
    cfg = Config.fromfile(repo_dir / f'configs/sparse_rcnn/{name}.py')
    cfg.merge_from_dict({'model.backbone.init_cfg': None, **(options or {})})
    return cfg


def build_detector(cfg: Config, seed: int = 0) -> SparseRCNN:
    """The detector of a config in eval mode, as unlike its start as a trained one is, whatever its backbone."""
    init_default_scope('mmdet')
    torch.manual_seed(seed)
    detector = MODELS.build(cfg.model)
    detector.rpn_head.init_weights()
    detector.roi_head.init_weights()
    with torch.no_grad():
        if detector.rpn_head.are_learned:
            boxes = detector.rpn_head.init_proposal_bboxes.weight
            centres = 0.1 + 0.8 * torch.rand(len(boxes), 2)
            boxes.copy_(torch.cat([centres, 0.04 * 20 ** torch.rand(len(boxes), 2)], dim=1))
        else:
            detector.rpn_head.box.weight.normal_(std=0.3)
        for stage in detector.roi_head.bbox_head:
            stage.fc_cls.bias.normal_(-3, 1)
            stage.fc_reg.weight.mul_(0.1)
        norms = [module for module in detector.modules() if isinstance(module, _BatchNorm)]
        for norm in norms:
            norm.train()
            norm.momentum = None  # statistics become those of what follows
        detector.backbone(torch.randn(2, 3, 128, 128))
    return detector.eval()


def read_images(shared_dir: Path, count: int = 3) -> list[np.ndarray]:
    """Photographs (H, W, 3) uint8 RGB, landscape and portrait."""
    names = ['000000397133.jpg', '000000011813.jpg', '000000135561.jpg', '000000165518.jpg'][:count]
    return [cv2.imread(str(shared_dir / 'data/coco_mini/val2017' / name))[..., ::-1] for name in names]


def detect(detector: SparseRCNN, batch: Batch, images: list[np.ndarray]) -> list[InstanceData]:
    """What the detector finds, boxes in pixels of the images that the batch was made of."""
    samples = [
        DetDataSample(metainfo=dict(img_shape=tuple(size), scale_factor=tuple(factors), ori_shape=image.shape[:2]))
        for image, size, factors in zip(images, batch.sizes.tolist(), batch.factors.tolist(), strict=True)
    ]
    with torch.no_grad():
        return [sample.pred_instances for sample in detector.predict(torch.from_numpy(batch.pixels), samples)]


def check_parity(file: Detector, detector, images: list[np.ndarray], tolerance=TOLERANCES['float32']) -> int:
    """All detections are the same; how many were compared."""
    batch = file.prepare(images)
    pairs = zip(run_file(file, batch), run_eager(detector, batch), strict=True)
    differences = [compare(*pair, tolerance) for pair in pairs]
    assert len(differences) == len(images)
    assert all(difference.is_within(tolerance) for difference in differences), differences
    return sum(difference.compared for difference in differences)
