"""Two operations alone, for all stages at once: matching, and RoI features forward and backward."""

import torch
from mmdet.registry import MODELS, TASK_UTILS
from mmdet.structures.bbox import bbox2roi
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from torch import Tensor

from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.models.targets import pack_image_whwh, pack_targets
from sparse_rcnn_ext.task_modules.hungarian_assigner import MatchedPairs

from .mmdet_config import mmdet_model, roi_extractor
from .settings import DTYPES, Setting, random_boxes, random_sample, read_model
from .timing import Result, alternate, timed, timed_parts

PROPOSALS, BOXES = (100, 300, 500), (5, 30, 100)
COST_TOLERANCE = 1e-5


class Matching:
    """The same predictions matched by both.

    Args:
        setting: A settled setting: images, stages, proposals and boxes.
    """

    def __init__(self, setting: Setting) -> None:
        init_default_scope('mmdet')
        model = read_model(setting)
        # mmdet's are alike in all stages.
        self.theirs = TASK_UTILS.build(mmdet_model(model)['train_cfg']['rcnn'][0]['assigner'])
        self.ours = TASK_UTILS.build(model.criterion.assigner)
        classes = model.roi_head.bbox_head.num_classes
        generator = torch.Generator().manual_seed(setting.seed)
        shape = (setting.stages, setting.batch, setting.proposals)
        self.logits = (torch.randn(*shape, classes, generator=generator) - 3).to(setting.device)
        boxes = random_boxes(shape[0] * shape[1] * shape[2], setting.size, generator)
        self.boxes = boxes.view(*shape, 4).to(setting.device)
        samples = [random_sample(setting.size, setting.boxes, classes, generator) for _ in range(setting.batch)]
        self.samples = [sample.to(setting.device) for sample in samples]

    def run_ours(self) -> MatchedPairs:
        """All at once. That the ground truth is packed first is part of it."""
        targets = pack_targets(self.samples, pack_image_whwh(self.samples, self.boxes))
        return self.ours.assign(self.logits, self.boxes, targets)

    def run_theirs(self) -> list[list[Tensor]]:
        """For each stage and image, (N,) the number of the matched box, from 1; 0 for none."""
        return [
            [
                self.theirs.assign(
                    InstanceData(scores=logits, bboxes=boxes, priors=boxes), sample.gt_instances, sample.metainfo
                ).gt_inds
                for logits, boxes, sample in zip(stage_logits, stage_boxes, self.samples, strict=True)
            ]
            for stage_logits, stage_boxes in zip(self.logits, self.boxes, strict=True)
        ]

    def difference(self) -> float:
        """How much more one side's pairs cost than the other's, as a share; pairs may differ where two cost the same.

        Raises:
            UserError: If they differ by more, or are not equally many.
        """
        targets = pack_targets(self.samples, pack_image_whwh(self.samples, self.boxes))
        cost = sum(term(self.logits, self.boxes, targets) for term in self.ours.match_costs.values())
        ours = self.run_ours()
        stage = torch.arange(len(cost), device=cost.device)[:, None].expand_as(ours.image)
        matched = torch.stack([torch.stack(images) for images in self.run_theirs()])  # (S, B, N)
        where = matched.nonzero(as_tuple=True)
        our_costs, their_costs = cost[(stage, *ours)], cost[(*where, matched[where] - 1)]
        difference = (our_costs.sum() - their_costs.sum()).abs().item() / max(their_costs.abs().sum().item(), 1e-6)
        if our_costs.numel() != their_costs.numel() or not difference <= COST_TOLERANCE:
            raise UserError(
                f'ours matches {our_costs.numel()} pairs of cost {our_costs.sum().item():.6g} and mmdet '
                f'{their_costs.numel()} of {their_costs.sum().item():.6g}: a comparison of different things is no '
                'comparison, so choose another config'
            )
        return difference


def measure_matching(settings: list[Setting]) -> Result:
    """Seconds of matching in each setting, such as with more and more proposals and boxes.

    Args:
        settings: Settled settings that differ in proposals and boxes only.

    Raises:
        UserError: If the two match differently.
    """
    comparisons, worst = [], 0.0
    for setting in settings:
        matching = Matching(setting)
        worst = max(worst, matching.difference())
        name = f'{setting.proposals} proposals, {setting.boxes} boxes'
        ours, theirs = (timed(run, name, setting.device) for run in (matching.run_ours, matching.run_theirs))
        comparisons += alternate(ours, theirs, setting.rounds, f'matching {name}', setting.warm_ups)
    notes = [f'The costs of the pairs that both find differ by {worst:.1e} of their sum at most.']
    return Result('matching', settings[0], comparisons, notes, title=f'{settings[0].batch} images')


WHOLE = 'RoI features, forward and backward'
FEATURE_TOLERANCE = 1e-3


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
    tolerance = max(FEATURE_TOLERANCE, 8 * torch.finfo(ours.pyramid[0].dtype).eps)
    if not max(features, gradients) <= tolerance:
        raise UserError(
            f'RoI features of ours and mmdet differ by {features:.2g} and their gradients by {gradients:.2g} of their '
            'norms: a comparison of different things is no comparison, so choose another config'
        )
    return f'Features of both differ by {features:.1e} of their norm, gradients by {gradients:.1e}.'


def _difference(ours: list[Tensor], theirs: list[Tensor]) -> float:
    ours, theirs = (torch.cat([tensor.detach().float().flatten() for tensor in side]) for side in (ours, theirs))
    return ((ours - theirs).norm() / theirs.norm()).item()
