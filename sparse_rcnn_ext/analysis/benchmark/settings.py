"""What is measured: a model, its inputs, random but the same, and what only our side switches on."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from mmdet.structures import DetDataSample
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor

from sparse_rcnn_ext.engine.config.config_parts import is_part, part_name, scope_of
from sparse_rcnn_ext.engine.config.run_config import load_config
from sparse_rcnn_ext.errors import UserError
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


SMALLEST, LARGEST = 0.04, 0.8


def random_boxes(num_boxes: int, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Boxes inside an image, as many small as large ones.

    The logarithm of a side is uniform, from 4 % to 80 % of the image's.

    Args:
        num_boxes: How many (G).
        size: Height and width of the image in pixels.
        generator: On the CPU.

    Returns:
        (G, 4) xyxy pixels.
    """
    low, high = math.log(SMALLEST), math.log(LARGEST)
    sides = (low + (high - low) * torch.rand(num_boxes, 2, generator=generator)).exp()  # (G, 2), relative
    corner = (1 - sides) * torch.rand(num_boxes, 2, generator=generator)
    height, width = size
    return torch.cat([corner, corner + sides], dim=1) * torch.tensor([width, height, width, height])


def random_sample(size: tuple[int, int], num_boxes: int, num_classes: int, generator: torch.Generator) -> DetDataSample:
    """A data sample with ``gt_instances`` of an image (height, width)."""
    sample = DetDataSample(metainfo=dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0)))
    boxes = random_boxes(num_boxes, size, generator)
    labels = torch.randint(num_classes, (num_boxes,), generator=generator)
    sample.gt_instances = InstanceData(bboxes=boxes, labels=labels)
    return sample


def random_image(size: tuple[int, int], generator: torch.Generator, channels: int = 3) -> Tensor:
    """(C, H, W) of bytes."""
    return torch.randint(256, (channels, *size), dtype=torch.uint8, generator=generator)


def describe(setting: Setting, left_out: Sequence[str] = ()) -> str:
    """A setting in words, without some of its facts."""
    height, width = setting.size
    words = dict(
        model=setting.model,
        size=f'{width}×{height}',
        batch=f'batch {setting.batch}',
        proposals=f'{setting.proposals} proposals',
        stages=f'{setting.stages} stages',
        boxes=f'{setting.boxes} boxes an image',
        device=setting.device.upper(),
        dtype=setting.dtype,
    )
    text = ', '.join(word for name, word in words.items() if name not in left_out)
    return f'{text}; ours {setting.our_options}' if setting.our_options else text
