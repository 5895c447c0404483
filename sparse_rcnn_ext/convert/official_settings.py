"""The config of the official repository that fits weights."""

from .model_sizes import ModelSizes

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
