"""One-to-one matching of proposals and ground truth, for all stages and images of a step."""

import logging

import numpy as np
import torch
from mmdet.registry import TASK_UTILS as MMDET_TASK_UTILS
from mmengine.logging import print_log
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.models.parts import build_own
from sparse_rcnn_ext.models.targets import MatchedPairs, Targets
from sparse_rcnn_ext.registry import TASK_UTILS

SETTING = 'model.criterion.assigner.match_costs'


@TASK_UTILS.register_module()
class HungarianAssigner:
    """Minimum-cost matching after DETR (https://arxiv.org/abs/2005.12872, section 3.1).

    The costs of all stages and images are computed in one call on the device, moved to the host once, and solved there
    by scipy.

    Args:
        match_costs: Costs by any name; they are added up. A dict rather than a list, so that a child config can change
            one of them.

    Raises:
        UserError: If they have no names, as in mmdet, or one is mmdet's.
    """

    def __init__(self, match_costs: dict[str, dict]) -> None:
        if not isinstance(match_costs, dict) or 'type' in match_costs:
            raise UserError(
                f'{SETTING} is {"one cost" if isinstance(match_costs, dict) else "a list"}: give each cost a name, '
                'such as dict(cls=dict(type=…), bbox=dict(type=…), iou=dict(type=…))'
            )
        self.match_costs = {
            name: build_own(cost, f'{SETTING}.{name}', 'IoUCost', MMDET_TASK_UTILS)
            for name, cost in match_costs.items()
        }
        self._warned_unmatched = False

    @torch.no_grad()
    def assign(self, logits: Tensor, boxes: Tensor, targets: Targets) -> MatchedPairs:
        """Match every stage of every image.

        Args:
            logits: (S, B, N, K), in at least float32.
            boxes: (S, B, N, 4) xyxy pixels, in at least float32.
            targets: Ground truth of the batch.

        Returns:
            The pairs. Where a logit, a box or a ground truth is not finite they are still one to one, but arbitrary;
            the criterion's losses then are not finite either.
        """
        cost = self.costs(logits, boxes, targets).cpu().numpy()  # the only transfer to the host in a step
        stages = [solve(stage, targets.counts) for stage in cost]
        pairs = torch.from_numpy(np.stack(stages, axis=1)).to(logits.device, non_blocking=True)  # (3, S, M)
        return MatchedPairs(*pairs)

    def costs(self, logits: Tensor, boxes: Tensor, targets: Targets) -> Tensor:
        """The sum of all costs, (S, B, N, G); says once where there are more ground truths than proposals."""
        self._warn_unmatched(targets.counts, logits.shape[2])
        return sum(match_cost(logits, boxes, targets) for match_cost in self.match_costs.values())

    def _warn_unmatched(self, counts: tuple[int, ...], num_proposals: int) -> None:
        unmatched = sum(max(count - num_proposals, 0) for count in counts)
        if unmatched and not self._warned_unmatched:
            self._warned_unmatched = True
            print_log(
                f'{unmatched} ground truth boxes of this batch went unmatched: an image has {max(counts)} boxes but '
                f'only {num_proposals} proposals. Set model.rpn_head.num_proposals to at least {max(counts)}. '
                'This is said once.',
                logger='current',
                level=logging.WARNING,
            )


def solve(cost: np.ndarray, counts: tuple[int, ...], repeats: np.ndarray | None = None) -> np.ndarray:
    """The cheapest pairs of one stage.

    Args:
        cost: (B, N, G).
        counts: Ground truths of each image.
        repeats: (B, G), how many proposals each ground truth gets; None: one. No image may want more than N.

    Returns:
        (3, M) image, proposal and target of each pair.
    """
    images = [np.empty((3, 0), dtype=np.int64)]
    for image, count in enumerate(counts):
        matrix = cost[image, :, :count]
        if not np.isfinite(matrix).all():
            # scipy refuses it, and with several processes an error here would let the others wait for this one.
            matrix = np.nan_to_num(matrix)
        if repeats is not None:
            columns = np.repeat(np.arange(count), repeats[image, :count])
            matrix = matrix[:, columns]
        proposal, target = linear_sum_assignment(matrix)
        if repeats is not None:
            target = columns[target]
        images.append(np.stack([np.full_like(proposal, image), proposal, target]))
    return np.concatenate(images, axis=1)
