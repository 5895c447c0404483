"""A training step: forward, matching, losses, backward, optimizer."""

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from sparse_rcnn_ext.engine.speed.compilation import compile_for_training

from .contestants import Contestant, build_pair, check_same_losses, make_batch
from .settings import Setting
from .timing import Comparison, Point, Result, alternate, timed, timed_parts

LEARNING_RATE, WEIGHT_DECAY, MAX_NORM = 2.5e-5, 1e-4, 1.0
STEP = 'training step'


class TrainingStep:
    """One optimizer step on the same batch, again and again.

    Args:
        contestant: The detector; it is put into training mode.
        images: Normalised images (B, 3, H, W).
        samples: Data samples with ground truth.
        fused: AdamW in one fused operator.
    """

    def __init__(self, contestant: Contestant, images: Tensor, samples: list, fused: bool = False) -> None:
        self.contestant = contestant
        self.model = contestant.model.train()
        self.images = contestant.images(images)
        self.samples = samples
        self.weights = [weight for weight in self.model.parameters() if weight.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.weights, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY, fused=True if fused else None
        )
        self.scaler = torch.amp.GradScaler(contestant.device, enabled=contestant.dtype == torch.float16)

    def run(self) -> None:
        """All of it, as mmengine's loop does."""
        self.backward(self.forward())
        self.update()

    def forward(self) -> Tensor:
        """The sum of all losses."""
        with self.contestant.precision():
            losses = self.model.loss(self.images, self.samples)
        return self.model.parse_losses(losses)[0]

    def backward(self, loss: Tensor) -> None:
        self.scaler.scale(loss).backward()

    def update(self) -> None:
        """Clip, step, and forget the gradients."""
        self.scaler.unscale_(self.optimizer)
        clip_grad_norm_(self.weights, MAX_NORM)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()

    def points(self) -> list[Point]:
        """Which methods are which part of the step."""
        model = self.model
        points = [(model, 'extract_feat', 'backbone and neck')]
        if self.contestant.is_ours:
            points += [
                (model.rpn_head, 'forward', 'stages'),
                (model.roi_head, 'forward', 'stages'),
                (model.criterion.assigner, 'assign', 'matching'),
                (model.criterion, 'forward', 'losses'),
            ]
        else:
            head = model.roi_head
            points += [(model.rpn_head, 'loss_and_predict', 'stages'), (head, 'loss', 'stages')]
            points += [(assigner, 'assign', 'matching') for assigner in head.bbox_assigner]
            # It tells matched from unmatched proposals, which our assigner does too.
            points += [(sampler, 'sample', 'matching') for sampler in head.bbox_sampler]
            points += [(stage, 'loss_and_target', 'losses') for stage in head.bbox_head]
        return [*points, (self, 'backward', 'backward'), (self, 'update', 'optimizer')]


def build_steps(setting: Setting) -> tuple[TrainingStep, TrainingStep, float]:
    """Steps of ours and mmdet's, and by how much their losses differ; see :func:`check_same_losses`."""
    ours, theirs = build_pair(setting)
    images, samples = make_batch(setting, ours)
    difference = check_same_losses(ours, theirs, images, samples)
    if setting.compile:
        compile_for_training(ours.model)
    our_step = TrainingStep(ours, images, samples, fused=setting.fused)
    return our_step, TrainingStep(theirs, images, samples), difference


def measure_whole(ours: TrainingStep, theirs: TrainingStep, setting: Setting) -> list[Comparison]:
    """Seconds of the step without looking inside."""
    device = setting.device
    measures = (timed(step.run, STEP, device) for step in (ours, theirs))
    return alternate(*measures, setting.rounds, STEP, setting.warm_ups)


def measure_training(setting: Setting, parts: bool = True) -> Result:
    """Seconds of a training step from normalised images, whole and by parts.

    Parts come from rounds of their own, since waiting for a GPU between them costs time.

    Args:
        setting: A settled setting.
        parts: Measure them.

    Raises:
        UserError: If the losses of the two differ.
    """
    ours, theirs, difference = build_steps(setting)
    comparisons = measure_whole(ours, theirs, setting)
    if parts:
        measures = (timed_parts(step.run, step.points(), setting.device) for step in (ours, theirs))
        comparisons += alternate(*measures, setting.rounds, f'{STEP} by parts')
    notes = [f'Same weights; the losses of both differ by {difference:.1e} of the loss at most, in float32.']
    return Result('train', setting, comparisons, notes)
