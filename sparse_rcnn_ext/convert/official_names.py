"""Names of the official implementation's parameters and settings, and ours, which are mmdet's, for the same."""

import re
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from sparse_rcnn_ext.errors import UserError

from .fitting_config import ModelSizes

CLASSIFIER = 'roi_head.bbox_head.0.fc_cls.weight'
NO_OBJECT_WEIGHT = 0.1
"""Of the official code and of ours, where a config says nothing else."""
# There only with USE_FOCAL False: one softmax over all classes and "no object".
_CLASS_WEIGHTS = 'criterion.empty_weight'
_Table = list[tuple[re.Pattern, str]]
# What a stage calls its parts, theirs and ours; # stands for a number.
_STAGE = {
    'self_attn': 'attention.attn',
    'self_attn.out_proj': 'attention.attn.out_proj',
    'norm1': 'attention_norm',
    'inst_interact.dynamic_layer': 'instance_interactive_conv.dynamic_layer',
    'inst_interact.norm1': 'instance_interactive_conv.norm_in',
    'inst_interact.norm2': 'instance_interactive_conv.norm_out',
    'inst_interact.out_layer': 'instance_interactive_conv.fc_layer',
    'inst_interact.norm3': 'instance_interactive_conv.fc_norm',
    'norm2': 'instance_interactive_conv_norm',
    'linear1': 'ffn.layers.0.0',
    'linear2': 'ffn.layers.1',
    'norm3': 'ffn_norm',
    'cls_module.#': 'cls_fcs.#',
    'class_logits': 'fc_cls',
    'reg_module.#': 'reg_fcs.#',
    'bboxes_delta': 'fc_reg',
}


def official_to_ours(state: dict[str, Tensor], file: str) -> dict[str, Tensor]:
    """A state dict of the official model under our names.

    Args:
        state: Under the official names.
        file: Where it was read from, for the message.

    Raises:
        UserError: If a name is none of the official model's.
    """
    # Only its loss reads it.
    renamed = {name: _rename(name, _TO_OURS) for name in state if name != _CLASS_WEIGHTS}
    if not any(renamed.values()) and any(_rename(name, _TO_OFFICIAL) for name in state):
        raise UserError(f"{file} has mmdet's names already: use it as it is, it needs no conversion")
    _refuse_unknown(
        renamed,
        f"{file} is no checkpoint of the official repository's R-CNN with a ResNet and FPN",
        'give one of those',
    )
    return {ours: state[name] for name, ours in renamed.items()}


def ours_to_official(state: dict[str, Tensor], file: str, softmax: bool = False) -> dict[str, Tensor]:
    """The way back; counts of batch normalisation, which the official frozen one lacks, are left out.

    Args:
        state: Under our names.
        file: Where it was read from, for the message.
        softmax: Whether the last class is "no object", whose weight the official model keeps with its own.

    Raises:
        UserError: If a name has no counterpart there.
    """
    renamed = {name: _rename(name, _TO_OFFICIAL) for name in state if not name.endswith('.num_batches_tracked')}
    if not any(renamed.values()) and any(_rename(name, _TO_OURS) for name in state):
        raise UserError(f'{file} has the official names already: use it as it is, it needs no conversion')
    _refuse_unknown(
        renamed,
        f'{file} has parts that the official model lacks',
        'give a checkpoint of a Sparse R-CNN with a ResNet, FPN and stages as they are in the paper',
    )
    official = {official: state[name] for name, official in renamed.items()}
    if softmax:
        classes = len(state[CLASSIFIER])
        official[_CLASS_WEIGHTS] = torch.tensor([1.0] * (classes - 1) + [NO_OBJECT_WEIGHT])
    return official


def is_softmax(state: dict[str, Tensor], meta: Mapping) -> bool:
    """Whether the last class of a checkpoint, of either kind, is "no object", as far as it tells.

    Both put it last. The weights of our model do not tell; its config does, or the number of its classes.

    Args:
        state: Its weights.
        meta: What mmengine writes about them.
    """
    if _CLASS_WEIGHTS in state or meta.get('softmax') or 'SoftmaxDIIHead' in str(meta.get('cfg')):
        return True
    classes = (meta.get('dataset_meta') or {}).get('classes') or ()
    return CLASSIFIER in state and len(classes) == len(state[CLASSIFIER]) - 1


def _refuse_unknown(renamed: dict[str, str | None], problem: str, wish: str) -> None:
    unknown = [name for name, other in renamed.items() if other is None]
    if unknown:
        more = f' and {len(unknown) - 3} more' if len(unknown) > 3 else ''
        raise UserError(f'{problem}: of its {len(renamed)} names, strange are {", ".join(unknown[:3])}{more}; {wish}')


def _pairs() -> Iterator[tuple[str, str]]:
    yield 'init_proposal_boxes', 'rpn_head.init_proposal_bboxes'
    yield 'init_proposal_features', 'rpn_head.init_proposal_features'
    # detectron2's ResNet calls the stages res2…res5 and hangs each norm under its convolution.
    yield 'backbone.bottom_up.stem.conv1', 'backbone.conv1'
    yield 'backbone.bottom_up.stem.conv1.norm', 'backbone.bn1'
    for level in range(2, 6):
        theirs, ours = f'backbone.bottom_up.res{level}.#', f'backbone.layer{level - 1}.#'
        yield f'{theirs}.shortcut', f'{ours}.downsample.0'
        yield f'{theirs}.shortcut.norm', f'{ours}.downsample.1'
        for conv in (1, 2, 3):
            yield f'{theirs}.conv{conv}', f'{ours}.conv{conv}'
            yield f'{theirs}.conv{conv}.norm', f'{ours}.bn{conv}'
        yield f'backbone.fpn_lateral{level}', f'neck.lateral_convs.{level - 2}.conv'
        yield f'backbone.fpn_output{level}', f'neck.fpn_convs.{level - 2}.conv'
    for theirs, ours in _STAGE.items():
        yield f'head.head_series.#.{theirs}', f'roi_head.bbox_head.#.{ours}'


def _table(pairs: Iterator[tuple[str, str]]) -> _Table:
    return [
        (re.compile(re.escape(name).replace(r'\#', r'(\d+)') + r'\.([a-z_]+)'), other.replace('#', '{}') + '.{}')
        for name, other in pairs
    ]


def _rename(name: str, table: _Table) -> str | None:
    for pattern, other in table:
        if found := pattern.fullmatch(name):
            return other.format(*found.groups())
    return None


_TO_OURS = _table(_pairs())
_TO_OFFICIAL = _table((ours, theirs) for theirs, ours in _pairs())


_PROPOSALS = (100, 300)


def official_config(sizes: ModelSizes) -> tuple[str, dict[str, int | bool]]:
    """The path of a config there, and what to change in it.

    Args:
        sizes: Of the model.
    """
    proposals = sizes.proposals if sizes.proposals in _PROPOSALS else _PROPOSALS[0]
    depth = 50 if sizes.depth == 50 else 101
    head = 'MODEL.SparseRCNN'
    # Its base config and the defaults in sparsercnn/config.py; detectron2's own for the ResNet.
    settings = {
        'MODEL.RESNETS.DEPTH': (depth, sizes.depth),
        'MODEL.RESNETS.STEM_OUT_CHANNELS': (64, sizes.stem_channels),
        'MODEL.RESNETS.RES2_OUT_CHANNELS': (256, sizes.levels[0]),
        'MODEL.RESNETS.WIDTH_PER_GROUP': (64, sizes.base_channels),
        'MODEL.FPN.OUT_CHANNELS': (256, sizes.channels),
        f'{head}.NUM_PROPOSALS': (proposals, sizes.proposals),
        f'{head}.NUM_HEADS': (6, sizes.stages),
        f'{head}.NUM_CLASSES': (80, sizes.classes),
        f'{head}.HIDDEN_DIM': (256, sizes.channels),
        f'{head}.DIM_FEEDFORWARD': (2048, sizes.feedforward_channels),
        f'{head}.DIM_DYNAMIC': (64, sizes.dynamic_channels),
        f'{head}.NUM_CLS': (1, sizes.cls_fcs),
        f'{head}.NUM_REG': (3, sizes.reg_fcs),
        f'{head}.USE_FOCAL': (True, not sizes.softmax),
    }
    changes = {name: wanted for name, (there, wanted) in settings.items() if there != wanted}
    return f'projects/SparseRCNN/configs/sparsercnn.res{depth}.{proposals}pro.3x.yaml', changes
