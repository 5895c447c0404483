"""What the shapes of a Sparse R-CNN's weights say about it."""

import re
from dataclasses import dataclass

from torch import Tensor

from sparse_rcnn_ext.engine.errors import UserError

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
