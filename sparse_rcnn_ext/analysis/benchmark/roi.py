"""RoI features of all stages over one pyramid, forward and backward: ours, and RoIAlign level by level."""

import torch
from mmdet.registry import MODELS
from mmdet.structures.bbox import bbox2roi
from mmengine.registry import init_default_scope
from torch import Tensor

from sparse_rcnn_ext.engine.errors import UserError

from .mmdet_config import roi_extractor
from .parts import timed_parts
from .result import Result
from .scenes import random_boxes
from .settings import DTYPES, Setting, read_model
from .timing import alternate, timed

WHOLE = 'RoI features, forward and backward'
TOLERANCE = 1e-3


class OurRoIs:
    """One table a step, read by every stage.

    Args:
        config: Of ``RoIFeatures``.
        pyramid: Levels (B, C, H_l, W_l), leaves that want a gradient.
        boxes: One (B, N, 4) for each stage, xyxy pixels.
        grads: One (B·N, C, S, S) for each stage, of what leaves the RoIs.
    """

    def __init__(self, config: dict, pyramid: list[Tensor], boxes: list[Tensor], grads: list[Tensor]) -> None:
        self.layer = MODELS.build(config).to(pyramid[0].device)
        self.pyramid, self.boxes = pyramid, boxes
        self.grads = [grad.flatten(2).transpose(1, 2).contiguous() for grad in grads]  # (B·N, S·S, C)

    def forward(self) -> list[Tensor]:
        """(B·N, S·S, C) for each stage."""
        table = self.layer.tabulate(self.pyramid)
        return [self.layer.pool(table, boxes) for boxes in self.boxes]

    def backward(self, pooled: list[Tensor]) -> None:
        """Leave the gradient in the levels."""
        torch.autograd.backward(pooled, self.grads)

    def run(self) -> list[Tensor]:
        """Both."""
        for level in self.pyramid:
            level.grad = None
        pooled = self.forward()
        self.backward(pooled)
        return pooled

    def points(self) -> list:
        return [(self, 'forward', 'forward'), (self, 'backward', 'backward')]


class TheirRoIs(OurRoIs):
    """mmdet's SingleRoIExtractor, asked once a stage; ``grads`` are taken as they are."""

    def __init__(self, config: dict, pyramid: list[Tensor], boxes: list[Tensor], grads: list[Tensor]) -> None:
        super().__init__(config, pyramid, boxes, grads)
        self.grads = grads

    def forward(self) -> list[Tensor]:
        """(B·N, C, S, S) for each stage."""
        return [self.layer(self.pyramid, bbox2roi(list(boxes))) for boxes in self.boxes]


def measure_roi(setting: Setting) -> Result:
    """Seconds for the RoI features of all stages over a random pyramid, forward and backward.

    mmdet's DynamicConv still has to transpose what mmdet's extractor gives it; that is not counted here.

    Args:
        setting: A settled setting; the pyramid has the channels and strides of its config, and the dtype of ``dtype``.

    Raises:
        UserError: If features or gradients of the two differ.
    """
    init_default_scope('mmdet')
    model = read_model(setting)
    config, channels = model.roi_head.roi_features, model.roi_head.bbox_head.in_channels
    generator = torch.Generator().manual_seed(setting.seed)
    to = dict(device=setting.device, dtype=DTYPES[setting.dtype])
    padded = [-(-side // 32) * 32 for side in setting.size]
    shapes = [(setting.batch, channels, *(side // stride for side in padded)) for stride in config.featmap_strides]
    pyramid = [torch.randn(shape, generator=generator).to(**to).requires_grad_() for shape in shapes]
    boxes = [
        torch.stack([random_boxes(setting.proposals, setting.size, generator) for _ in range(setting.batch)])
        for _ in range(setting.stages)
    ]
    boxes = [stage.to(setting.device) for stage in boxes]
    pooled = (setting.batch * setting.proposals, channels, config.output_size, config.output_size)
    grads = [torch.randn(pooled, generator=generator).to(**to) for _ in boxes]
    ours = OurRoIs(config, pyramid, boxes, grads)
    theirs = TheirRoIs(roi_extractor(config, channels), pyramid, boxes, grads)

    notes = [_check(ours, theirs)]
    device = setting.device
    measures = (timed(side.run, WHOLE, device) for side in (ours, theirs))
    comparisons = alternate(*measures, setting.rounds, WHOLE, setting.warm_ups)
    measures = (timed_parts(side.run, side.points(), device) for side in (ours, theirs))
    comparisons += alternate(*measures, setting.rounds, f'{WHOLE}, by parts')
    return Result('roi', setting, comparisons, notes)


def _check(ours: OurRoIs, theirs: TheirRoIs) -> str:
    """Compare features and gradients; a sentence on how far they are apart."""
    pooled = [stage.transpose(1, 2).reshape(grad.shape) for stage, grad in zip(ours.run(), theirs.grads, strict=True)]
    our_grads = [level.grad for level in ours.pyramid]
    features = _difference(pooled, theirs.run())
    gradients = _difference(our_grads, [level.grad for level in theirs.pyramid])
    tolerance = max(TOLERANCE, 8 * torch.finfo(ours.pyramid[0].dtype).eps)
    if not max(features, gradients) <= tolerance:
        raise UserError(
            f'RoI features of ours and mmdet differ by {features:.2g} and their gradients by {gradients:.2g} of their '
            'norms: a comparison of different things is no comparison, so choose another config'
        )
    return f'Features of both differ by {features:.1e} of their norm, gradients by {gradients:.1e}.'


def _difference(ours: list[Tensor], theirs: list[Tensor]) -> float:
    ours, theirs = (torch.cat([tensor.detach().float().flatten() for tensor in side]) for side in (ours, theirs))
    return ((ours - theirs).norm() / theirs.norm()).item()
