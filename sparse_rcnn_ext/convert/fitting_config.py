"""The config of this repository that fits weights of the official one."""

from dataclasses import dataclass
from pathlib import Path

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import Tensor

from sparse_rcnn_ext.engine.config_parts import scope_of
from sparse_rcnn_ext.engine.errors import UserError
from sparse_rcnn_ext.engine.state_fit import compare_states

from .model_sizes import ModelSizes, read_sizes

_RECIPES = {
    (50, 100): 'sparse-rcnn_r50_fpn_ms-480-800-3x_coco.py',
    (50, 300): 'sparse-rcnn_r50_fpn_300-proposals_crop-ms-480-800-3x_coco.py',
    (101, 100): 'sparse-rcnn_r101_fpn_ms-480-800-3x_coco.py',
    (101, 300): 'sparse-rcnn_r101_fpn_300-proposals_crop-ms-480-800-3x_coco.py',
    (18, 100): 'backbones/sparse-rcnn_r18_fpn_1x_coco.py',
    (34, 100): 'backbones/sparse-rcnn_r34_fpn_1x_coco.py',
}
_SOFTMAX = 'ablations/softmax.py'
_CROWDHUMAN = 'sparse-rcnn_r50_fpn_500-proposals_crowdhuman.py'
# How the official code differs from mmdet's, which the shapes do not show: each stage may let a side grow to
# 100000 / 16 of it, and shrink to anything; and the level of a RoI is log2(side / 224 + 1e-8).
OFFICIAL = {
    'model.roi_head.bbox_head.wh_scale_range': (0, 100000 / 16),
    'model.roi_head.roi_features.level_eps': 4e-8,
}


@dataclass(frozen=True)
class FittingConfig:
    """A config, and what to change in it."""

    path: Path
    sizes: ModelSizes
    shape_options: dict[str, object]
    """Settings without which the weights do not fit."""
    official_options: dict[str, object]
    """Settings with which the model computes as the official one does."""

    @property
    def options(self) -> dict[str, object]:
        """All settings."""
        return {**self.shape_options, **self.official_options}


def find_fitting_config(state: dict[str, Tensor], file: str, configs: Path, softmax: bool = False) -> FittingConfig:
    """Choose a recipe, and prove by its model that the weights fit.

    Args:
        state: Weights of the official model under our names.
        file: Where they were read from, for the message.
        configs: The folder configs/sparse_rcnn of this repository.
        softmax: Whether the last class is "no object".

    Raises:
        UserError: If they fit no config.
    """
    sizes = read_sizes(state, file, softmax)
    recipe = _RECIPES.get((sizes.depth, sizes.proposals)) or _RECIPES.get((sizes.depth, 100)) or _RECIPES[101, 100]
    if (sizes.depth, sizes.proposals, sizes.classes) == (50, 500, 1):
        recipe = _CROWDHUMAN
    if softmax:
        recipe = _SOFTMAX
    cfg = Config.fromfile(configs / recipe)
    wanted = _settings(sizes)
    options = {name: value for name, value in wanted.items() if _current(cfg, name) != value}
    cfg.merge_from_dict({**options, **OFFICIAL})
    cfg.model.backbone.init_cfg = None
    init_default_scope(scope_of(cfg))
    # Only names and shapes are asked for.
    with torch.device('meta'):
        fit = compare_states(MODELS.build(cfg.model).state_dict(), state)
    if fit.phrases:
        raise UserError(f'{file} fits no config of this repository; with {recipe}, {fit}: give another checkpoint')
    return FittingConfig(configs / recipe, sizes, options, OFFICIAL)


def _settings(sizes: ModelSizes) -> dict[str, object]:
    head = 'model.roi_head.bbox_head'
    return {
        'model.backbone.depth': sizes.depth,
        'model.backbone.stem_channels': sizes.stem_channels,
        'model.backbone.base_channels': sizes.base_channels,
        'model.neck.in_channels': sizes.levels,
        'model.neck.out_channels': sizes.channels,
        'model.rpn_head.num_proposals': sizes.proposals,
        'model.rpn_head.proposal_feature_channel': sizes.channels,
        'model.roi_head.num_stages': sizes.stages,
        f'{head}.num_classes': sizes.classes,
        f'{head}.in_channels': sizes.channels,
        f'{head}.feedforward_channels': sizes.feedforward_channels,
        f'{head}.num_cls_fcs': sizes.cls_fcs,
        f'{head}.num_reg_fcs': sizes.reg_fcs,
        f'{head}.dynamic_conv_cfg.feat_channels': sizes.dynamic_channels,
    }


def _current(cfg: Config, name: str) -> object:
    """What a config says; mmdet's default for the channels of a ResNet, which no recipe names."""
    node = cfg
    for part in name.split('.'):
        node = node.get(part, 64 if part in ('stem_channels', 'base_channels') else None)
    return node
