"""Matching alone: the costs and the assignment of all stages and images of a step."""

import torch
from mmdet.registry import TASK_UTILS
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from torch import Tensor

from sparse_rcnn_ext.engine.errors import UserError
from sparse_rcnn_ext.models.targets import pack_image_whwh, pack_targets
from sparse_rcnn_ext.task_modules.hungarian_assigner import MatchedPairs

from .mmdet_config import mmdet_model
from .result import Result
from .scenes import random_boxes, random_sample
from .settings import Setting, read_model
from .timing import alternate, timed

PROPOSALS, BOXES = (100, 300, 500), (5, 30, 100)
TOLERANCE = 1e-5


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
        if our_costs.numel() != their_costs.numel() or not difference <= TOLERANCE:
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
