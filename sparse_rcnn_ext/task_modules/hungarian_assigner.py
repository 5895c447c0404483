"""One-to-one matching of proposals and ground truth, for all stages and images of a step."""

import logging
from typing import NamedTuple

import numpy as np
import torch
from mmdet.registry import TASK_UTILS as MMDET_TASK_UTILS
from mmengine.logging import print_log
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from sparse_rcnn_ext.models.targets import Targets
from sparse_rcnn_ext.registry import TASK_UTILS


class MatchedPairs(NamedTuple):
    """Which proposal has which ground truth; entry i of all three belongs together.

    Every stage matches equally many pairs (M): of each image, the smaller of its proposals and its boxes. No proposal
    and no ground truth stands twice within a stage and an image.
    """

    image: Tensor
    """(S, M) image of the batch."""
    proposal: Tensor
    """(S, M) proposal of that image."""
    target: Tensor
    """(S, M) ground truth of that image."""


@TASK_UTILS.register_module()
class HungarianAssigner:
    """Minimum-cost matching after DETR (https://arxiv.org/abs/2005.12872, section 3.1).

    The costs of all stages and images are computed in one call on the device, moved to the host once, and solved there
    by scipy.

    Args:
        match_costs: Costs by any name; they are added up. A dict rather than a list, so that a child config can change
            one of them.
    """

    def __init__(self, match_costs: dict[str, dict]) -> None:
        self.match_costs = {name: MMDET_TASK_UTILS.build(cost) for name, cost in match_costs.items()}
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
        num_stages, _, num_proposals = logits.shape[:3]
        self._warn_unmatched(targets.counts, num_proposals)

        cost = sum(match_cost(logits, boxes, targets) for match_cost in self.match_costs.values())
        cost = cost.cpu().numpy()  # (S, B, N, G), the only transfer to the host in a step

        stages = []
        for stage in range(num_stages):
            images = [np.empty((3, 0), dtype=np.int64)]
            for image, count in enumerate(targets.counts):
                matrix = cost[stage, image, :, :count]
                if not np.isfinite(matrix).all():
                    # scipy refuses it, and with several processes an error would let the others wait for this one.
                    matrix = np.nan_to_num(matrix)
                proposal, target = linear_sum_assignment(matrix)
                images.append(np.stack([np.full_like(proposal, image), proposal, target]))
            stages.append(np.concatenate(images, axis=1))
        pairs = torch.from_numpy(np.stack(stages, axis=1)).to(logits.device, non_blocking=True)  # (3, S, M)
        return MatchedPairs(*pairs)

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
