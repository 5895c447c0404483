"""What is measured: a model, its inputs, and what only our side switches on."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from mmengine.config import ConfigDict

from sparse_rcnn_ext.engine.config_parts import is_part, part_name, scope_of
from sparse_rcnn_ext.engine.errors import UserError
from sparse_rcnn_ext.engine.run_config import load_config
from sparse_rcnn_ext.models import SparseRCNN

REPO = Path(__file__).resolve().parents[3]
MODELS = {
    'r50': 'configs/sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py',
    'lite0': 'configs/sparse_rcnn/backbones/sparse-rcnn_lite0_fpn_1x_coco.py',
}
DTYPES = {'float32': torch.float32, 'bfloat16': torch.bfloat16, 'float16': torch.float16}


@dataclass(frozen=True)
class Setting:
    """One comparison. Both sides get the same of everything, but for the options that say "ours"."""

    model: str = 'r50'
    """A name of :data:`MODELS` or the path of a config."""
    device: str = 'cpu'
    batch: int = 2
    size: tuple[int, int] = (640, 640)
    """Height and width of the images in pixels, before batch padding."""
    boxes: int = 10
    """Ground truth boxes of an image."""
    proposals: int | None = None
    """None: as the config says, until :func:`settle` fills it in."""
    stages: int | None = None
    """None: as the config says, until :func:`settle` fills it in."""
    dtype: str = 'float32'
    """Of autocast; ``'float32'`` goes without."""
    ours_dtype: str | None = None
    """Ours: of autocast; None: as ``dtype``."""
    channels_last: bool = False
    """Ours: images and weights of convolutions with the channels innermost."""
    compile: bool = False
    """Ours: compiled as ``--compile`` of tools/train.py and tools/test.py does it; on CUDA, inference in a graph."""
    fuse_conv_bn: bool = False
    """Ours, inference: batch norm folded into the convolutions before it."""
    fused: bool = False
    """Ours: AdamW in one fused operator."""
    with_cp: bool = False
    """Ours: activations of stages and, where the backbone can, of backbone blocks are computed again for backward."""
    rounds: int = 5
    """How often each side is measured."""
    seed: int = 0

    @property
    def warm_ups(self) -> int:
        """Rounds of each side that do not count."""
        return 5 if self.device == 'cuda' else 1

    @property
    def our_options(self) -> str:
        """What only our side switches on, in words; empty for nothing."""
        options = [self.ours_dtype] if self.ours_dtype not in (None, self.dtype) else []
        options += ['channels last'] * self.channels_last + ['compiled'] * self.compile
        options += ['batch norm folded'] * self.fuse_conv_bn + ['fused AdamW'] * self.fused
        options += ['activations recomputed'] * self.with_cp
        return ', '.join(options)


def settle(setting: Setting) -> Setting:
    """Fill in what the config decides.

    Raises:
        UserError: If a value is none, or this machine cannot do it.
    """
    least = dict(batch=1, boxes=0, rounds=1, proposals=1, stages=1)
    for name, bound in least.items():
        value = getattr(setting, name)
        if value is not None and value < bound:
            raise UserError(f'--{name} is {value}: give at least {bound}')
    if min(setting.size) < 32:
        raise UserError(f'--size is {setting.size[0]} {setting.size[1]}: give at least 32 pixels a side')
    if setting.device == 'cuda' and not torch.cuda.is_available():
        raise UserError('--device is cuda, and torch finds no GPU here: use --device cpu')
    if setting.device == 'cpu' and 'float16' in (setting.dtype, setting.ours_dtype):
        raise UserError('float16 needs a GPU: use --dtype bfloat16 or --ours-dtype bfloat16 on the CPU')
    model = read_model(setting)
    return replace(
        setting,
        proposals=model.rpn_head.num_proposals,
        stages=model.roi_head.num_stages,
        ours_dtype=setting.ours_dtype or setting.dtype,
    )


def read_model(setting: Setting) -> ConfigDict:
    """The ``model`` of the config, with the setting's proposals and stages and without pretrained weights.

    Raises:
        UserError: If there is no such config, or it is no Sparse R-CNN of this repository.
    """
    path = str(REPO / MODELS[setting.model]) if setting.model in MODELS else setting.model
    cfg = load_config(path, None, None)
    model = cfg.get('model', {})
    if not is_part(model, SparseRCNN, 'model', scope_of(cfg)):
        raise UserError(
            f'{path} has the model {part_name(model)}: only one of type sparse_rcnn_ext.SparseRCNN has a counterpart '
            'in mmdet'
        )
    # Nothing is downloaded: weights are random.
    model.backbone.init_cfg = None
    for key in ('pretrained', 'pretrained_file'):
        model.backbone.pop(key, None)
    model.pop('init_cfg', None)
    if setting.proposals is not None:
        model.rpn_head.num_proposals = setting.proposals
    if setting.stages is not None:
        model.roi_head.num_stages = setting.stages
    return model
