"""Our detector and mmdet's own, with the same weights."""

import inspect
import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmdet.models.detectors import BaseDetector
from mmdet.registry import MODELS
from mmengine.config import ConfigDict
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sparse_rcnn_ext.engine.config.config_parts import part_class
from sparse_rcnn_ext.engine.config.input_images import blank_images, input_channels
from sparse_rcnn_ext.errors import UserError

from .mmdet_config import mmdet_model
from .settings import DTYPES, Setting, random_image, random_sample, read_model

OURS, THEIRS = 'ours', 'mmdet'
LOSS_TOLERANCE = 1e-3


class Contestant:
    """One of the two detectors, and how it computes.

    Args:
        name: ``'ours'`` or ``'mmdet'``.
        model: The detector; it moves to the device of the setting.
        setting: A settled setting.
    """

    def __init__(self, name: str, model: BaseDetector, setting: Setting) -> None:
        self.name = name
        self.model = model
        self.device = setting.device
        self.is_ours = name == OURS
        self.dtype = DTYPES[setting.ours_dtype if self.is_ours else setting.dtype]
        self.channels_last = setting.channels_last and self.is_ours
        model.to(setting.device)
        if self.channels_last:
            model.to(memory_format=torch.channels_last)

    @contextmanager
    def precision(self) -> Iterator[None]:
        """The contestant's autocast; none for float32."""
        with torch.autocast(self.device, self.dtype, enabled=self.dtype != torch.float32):
            yield

    def images(self, images: Tensor) -> Tensor:
        """Normalised images (B, 3, H, W) in the memory format that the contestant wants."""
        return images.contiguous(memory_format=torch.channels_last) if self.channels_last else images


def build_pair(setting: Setting) -> tuple[Contestant, Contestant]:
    """Ours and mmdet's on the setting's device, with the same random weights, which depend on the seed alone.

    Fresh weights would be a poor stand-in for a training that is under way: all proposals cover the whole image, and
    every class has the same score. So proposals are spread over places and sizes, scores differ, and the running
    statistics of batch norm are those of some noise.

    Args:
        setting: A settled setting.

    Raises:
        UserError: If the config has a part that mmdet lacks, or names or shapes of weights differ.
    """
    init_default_scope('mmdet')
    # Without a line for each weight.
    MMLogger.get_current_instance().setLevel(logging.WARNING)
    cfg = read_model(setting)
    torch.manual_seed(setting.seed)
    theirs = MODELS.build(mmdet_model(cfg))
    theirs.init_weights()
    with torch.no_grad():
        _spread_proposals(theirs.rpn_head.init_proposal_bboxes.weight)
        for stage in theirs.roi_head.bbox_head:
            stage.fc_cls.bias.normal_(-3, 1)
            stage.fc_reg.weight.mul_(0.1)
        _settle_norms(theirs.backbone)
    if setting.with_cp:
        _recompute_activations(cfg)
    ours = MODELS.build(cfg)
    copy_weights(theirs, ours)
    return Contestant(OURS, ours, setting), Contestant(THEIRS, theirs, setting)


def _recompute_activations(cfg: ConfigDict) -> None:
    """Switch on what our config has for it."""
    cfg.roi_head.with_cp = True
    if 'with_cp' in inspect.signature(part_class(cfg.backbone, 'model')).parameters:
        cfg.backbone.with_cp = True


def copy_weights(theirs: nn.Module, ours: nn.Module) -> None:
    """Load mmdet's weights into ours.

    Raises:
        UserError: If names or shapes differ.
    """
    try:
        ours.load_state_dict(theirs.state_dict(), strict=True)
    except RuntimeError as error:
        raise UserError(
            f"mmdet's weights do not fit ours, so there is nothing to compare: {' '.join(str(error).split())}"
        ) from None


def make_batch(setting: Setting, ours: Contestant) -> tuple[Tensor, list]:
    """Normalised, padded images (B, 3, H, W) and data samples, as either detector takes them."""
    generator = torch.Generator().manual_seed(setting.seed + 1)
    classes = ours.model.roi_head.bbox_head[0].num_classes
    samples = [random_sample(setting.size, setting.boxes, classes, generator) for _ in range(setting.batch)]
    channels = input_channels(ours.model)
    images = [random_image(setting.size, generator, channels) for _ in range(setting.batch)]
    batch = ours.model.data_preprocessor(dict(inputs=images, data_samples=samples), training=True)
    return batch['inputs'], batch['data_samples']


def check_same_losses(ours: Contestant, theirs: Contestant, images: Tensor, samples: list) -> float:
    """Compare all losses in float32; the largest difference, as a share of the loss.

    Raises:
        UserError: If it is above 1e-3: then the two do not compute the same.
    """
    found = []
    for side in (ours, theirs):
        side.model.train()
        # Dropout must not decide.
        with torch.no_grad(), _without_dropout(side.model):
            losses = side.model.loss(images, samples)
        found.append({name: value.item() for name, value in losses.items() if 'loss' in name})
    our_losses, their_losses = found
    if set(our_losses) != set(their_losses):
        raise UserError(
            f'ours has the losses {sorted(our_losses)} and mmdet {sorted(their_losses)}: a comparison of different '
            'things is no comparison, so choose another config'
        )
    worst, name = max(
        (abs(our_losses[name] - loss) / max(abs(loss), 1e-6), name) for name, loss in their_losses.items()
    )
    if not worst <= LOSS_TOLERANCE:
        raise UserError(
            f'{name} is {our_losses[name]:.6g} for ours and {their_losses[name]:.6g} for mmdet with the same weights: '
            'a comparison of different things is no comparison, so choose another config'
        )
    return worst


@contextmanager
def _without_dropout(model: nn.Module) -> Iterator[None]:
    dropouts = [module for module in model.modules() if isinstance(module, nn.Dropout) and module.training]
    for module in dropouts:
        module.eval()
    yield
    for module in dropouts:
        module.train()


def _spread_proposals(boxes: Tensor) -> None:
    """Overwrite (N, 4) relative cxcywh with places and sizes all over the image."""
    centres = 0.1 + 0.8 * torch.rand(len(boxes), 2)
    sides = (math.log(0.04) + (math.log(0.8) - math.log(0.04)) * torch.rand(len(boxes), 2)).exp()
    boxes.copy_(torch.cat([centres, sides], dim=1))


def _settle_norms(backbone: nn.Module) -> None:
    """Give batch norms the statistics of noise; without, a deep random network ends in numbers of any size."""
    norms = [module for module in backbone.modules() if isinstance(module, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.train()
        norm.momentum = 1.0  # all of the new, nothing of the old
    backbone(blank_images(backbone, 128, 128, batch_size=2).normal_())
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    backbone.train()
