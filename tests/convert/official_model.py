"""State dicts with the shapes of the official model, and no values."""

from pathlib import Path

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from torch import Tensor

RECIPES = Path(__file__).resolve().parents[2] / 'configs/sparse_rcnn'


def our_state(overrides: dict | None = None, device: str = 'meta') -> dict[str, Tensor]:
    """The state dict of the 1x recipe's model; on the device ``'meta'`` it takes no memory.

    Args:
        overrides: Dotted config keys and their values.
        device: Where the weights are.
    """
    cfg = Config.fromfile(RECIPES / 'sparse-rcnn_r50_fpn_1x_coco.py')
    cfg.merge_from_dict({'model.backbone.init_cfg': None, **(overrides or {})})
    with torch.device(device):
        return dict(MODELS.build(cfg.model).state_dict())
