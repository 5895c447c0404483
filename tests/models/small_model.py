"""A small Sparse R-CNN from the base config, and inputs for it."""

from pathlib import Path
from typing import Any

import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.structures import InstanceData
from torch import Tensor, nn

BASE = Path(__file__).resolve().parents[2] / 'configs/_base_/models/sparse-rcnn_r50_fpn.py'
CHANNELS = 16
STAGES = 3
PROPOSALS = 10
CLASSES = 5

SIZES = {
    'model.backbone.stem_channels': 8,
    'model.backbone.base_channels': 4,
    'model.backbone.init_cfg': None,
    'model.neck.in_channels': [16, 32, 64, 128],
    'model.neck.out_channels': CHANNELS,
    'model.rpn_head.num_proposals': PROPOSALS,
    'model.rpn_head.proposal_feature_channel': CHANNELS,
    'model.roi_head.num_stages': STAGES,
    'model.roi_head.bbox_head.num_classes': CLASSES,
    'model.roi_head.bbox_head.num_heads': 2,
    'model.roi_head.bbox_head.feedforward_channels': 24,
    'model.roi_head.bbox_head.in_channels': CHANNELS,
    'model.roi_head.bbox_head.dynamic_conv_cfg.feat_channels': 4,
    # So that the number of detections is known.
    'model.test_cfg.clip_boxes': False,
}


def small_config(overrides: dict[str, Any] | None = None) -> Config:
    """The base config's model in few channels.

    Args:
        overrides: Dotted config keys and their values.
    """
    cfg = Config.fromfile(BASE)
    cfg.merge_from_dict({**SIZES, **(overrides or {})})
    return cfg


def initialise(cfg: Config, seed: int = 0, spread: bool = True) -> nn.Module:
    """Build and initialise the model of a config.

    Args:
        cfg: Has a ``model``.
        seed: For the weights.
        spread: Move proposals and class scores apart, which fresh weights leave all alike.
    """
    torch.manual_seed(seed)
    model = MODELS.build(cfg.model)
    model.init_weights()
    if spread:
        with torch.no_grad():
            if model.rpn_head.are_learned:
                bboxes = model.rpn_head.init_proposal_bboxes.weight
                centres, sides = 0.1 + 0.8 * torch.rand(len(bboxes), 2), 0.2 + 0.6 * torch.rand(len(bboxes), 2)
                bboxes.copy_(torch.cat([centres, sides], 1))
            else:
                model.rpn_head.box.weight.normal_(std=0.3)
            for stage in model.roi_head.bbox_head:
                stage.fc_cls.bias.normal_(-2, 1)
    return model


def build_model(overrides: dict[str, Any] | None = None, seed: int = 0, spread: bool = True) -> nn.Module:
    """See :func:`small_config` and :func:`initialise`."""
    return initialise(small_config(overrides), seed, spread)


def make_sample(size: tuple[int, int], num_boxes: int, seed: int = 0, num_classes: int = CLASSES) -> DetDataSample:
    """A data sample of an image (height, width) with random boxes."""
    generator = torch.Generator().manual_seed(seed)
    scale = torch.tensor(size[::-1], dtype=torch.float64)
    corner = 0.6 * torch.rand(num_boxes, 2, generator=generator, dtype=torch.float64)
    side = 0.1 + 0.3 * torch.rand(num_boxes, 2, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, num_classes, (num_boxes,), generator=generator)
    sample = DetDataSample(metainfo=dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0)))
    sample.gt_instances = InstanceData(bboxes=torch.cat([corner * scale, (corner + side) * scale], 1), labels=labels)
    return sample


def make_images(sizes: list[tuple[int, int]], dtype: torch.dtype = torch.float64) -> Tensor:
    """Random images (height, width), padded with zeros to the largest sides and on to a multiple of 32."""
    height, width = (-(-max(side) // 32) * 32 for side in zip(*sizes, strict=True))
    images = torch.zeros(len(sizes), 3, height, width, dtype=dtype)
    generator = torch.Generator().manual_seed(1)
    for image, size in zip(images, sizes, strict=True):
        image[:, : size[0], : size[1]] = torch.randn(3, *size, generator=generator, dtype=torch.float64).to(dtype)
    return images
