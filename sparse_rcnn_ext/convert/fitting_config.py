"""The config of this repository that fits weights of the official one, by what their shapes say."""

import re
from dataclasses import dataclass
from pathlib import Path

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import Tensor

from sparse_rcnn_ext.engine.checkpoints.state_fit import compare_states
from sparse_rcnn_ext.engine.config.config_parts import scope_of
from sparse_rcnn_ext.errors import UserError

# Blocks of each stage, and whether a block has three convolutions.
_DEPTHS = {
    ((2, 2, 2, 2), False): 18,
    ((3, 4, 6, 3), False): 34,
    ((3, 4, 6, 3), True): 50,
    ((3, 4, 23, 3), True): 101,
    ((3, 8, 36, 3), True): 152,
}


@dataclass(frozen=True)
class ModelSizes:
    """The numbers of a Sparse R-CNN with a ResNet and FPN."""

    depth: int
    """Of the ResNet."""
    stem_channels: int
    base_channels: int
    levels: list[int]
    """Channels of each level that the neck reads."""
    proposals: int
    stages: int
    classes: int
    channels: int
    """Of the pyramid, proposals and RoI features."""
    feedforward_channels: int
    dynamic_channels: int
    cls_fcs: int
    reg_fcs: int
    softmax: bool = False
    """Whether the classifier has one more class than ``classes``: "no object", its last."""

    def __str__(self) -> str:
        kind = ' in one softmax' if self.softmax else ''
        return (
            f'ResNet-{self.depth}, {self.proposals} proposals, {self.stages} stage{"s" if self.stages > 1 else ""}, '
            f'{self.classes} class{"es" if self.classes > 1 else ""}{kind}'
        )


def read_sizes(state: dict[str, Tensor], file: str, softmax: bool = False) -> ModelSizes:
    """The numbers of a model.

    Args:
        state: Its weights under our names.
        file: Where they were read from, for the message.
        softmax: Whether the last class is "no object".

    Raises:
        UserError: If a part is missing, or it is no ResNet of a usual depth.
    """

    def rows(name: str) -> int:
        if name not in state:
            raise UserError(f'{file} lacks {name}: give the checkpoint of a whole Sparse R-CNN')
        return len(state[name])

    def count(prefix: str, suffix: str) -> int:
        pattern = re.compile(rf'{re.escape(prefix)}(\d+){re.escape(suffix)}')
        return len({found[1] for found in map(pattern.fullmatch, state) if found})

    stage = 'roi_head.bbox_head.0.'
    blocks = tuple(count(f'backbone.layer{layer}.', '.conv1.weight') for layer in range(1, 5))
    depth = _DEPTHS.get((blocks, 'backbone.layer1.0.conv3.weight' in state))
    if depth is None:
        raise UserError(
            f'{file} has {blocks} blocks in the four stages of its backbone: '
            f'give a checkpoint with a ResNet of {", ".join(map(str, sorted(_DEPTHS.values())))} layers'
        )
    return ModelSizes(
        depth=depth,
        stem_channels=rows('backbone.conv1.weight'),
        base_channels=rows('backbone.layer1.0.conv1.weight'),
        levels=[state[name].shape[1] for name in sorted(state) if re.fullmatch(r'neck\.lateral_.*\.weight', name)],
        proposals=rows('rpn_head.init_proposal_bboxes.weight'),
        stages=count('roi_head.bbox_head.', '.fc_cls.weight'),
        classes=rows(f'{stage}fc_cls.weight') - softmax,
        channels=rows(f'{stage}attention_norm.weight'),
        feedforward_channels=rows(f'{stage}ffn.layers.0.0.weight'),
        dynamic_channels=rows(f'{stage}instance_interactive_conv.norm_in.weight'),
        # A norm and a linear layer each; only the norm has a bias.
        cls_fcs=count(f'{stage}cls_fcs.', '.bias'),
        reg_fcs=count(f'{stage}reg_fcs.', '.bias'),
        softmax=softmax,
    )


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
