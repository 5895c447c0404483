"""Several proposals for each ground truth in the early stages, one in the last."""

import numpy as np
import torch
from mmdet.structures.bbox import bbox_overlaps
from torch import Tensor

from sparse_rcnn_ext.models.ciou_loss import FARTHEST
from sparse_rcnn_ext.models.targets import MatchedPairs, Targets
from sparse_rcnn_ext.registry import TASK_UTILS
from sparse_rcnn_ext.task_modules.hungarian_assigner import HungarianAssigner, solve


@TASK_UTILS.register_module()
class OneToManyAssigner(HungarianAssigner):
    """Minimum-cost matching that gives a ground truth k proposals, and in the last stage one.

    k is the sum of the ground truth's ``top_candidates`` greatest IoUs with the proposals of the stage, rounded down,
    and at least 1 (dynamic k of OTA, https://arxiv.org/abs/2103.14259, section 3.3, as Dynamic Sparse R-CNN,
    https://arxiv.org/abs/2205.02101, section 3.1, uses it). Dynamic Sparse R-CNN then takes k − 0.5 · (T − t) in
    stage t of T: later stages have more, and detections need NMS. Here the last stage stays one to one, so that they
    need none. A ground truth with k proposals stands k times in the one matching of its image; where the proposals are
    too few for that, those that would have most get fewer.

    Args:
        match_costs: See :class:`HungarianAssigner`.
        top_candidates: IoUs that are added up for k.
        order: How k changes from stage to stage before the last one: 'falling' takes off ``step`` in each stage after
            the first, 'rising' ``step`` for each stage that is still to come, 'constant' nothing.
        step: See ``order``.

    Raises:
        ValueError: If ``order`` is another word.
    """

    def __init__(
        self, match_costs: dict[str, dict], top_candidates: int = 8, order: str = 'falling', step: float = 0.5
    ) -> None:
        super().__init__(match_costs)
        if order not in ('falling', 'rising', 'constant'):
            raise ValueError(f"OneToManyAssigner: order is {order!r}; set it to 'falling', 'rising' or 'constant'.")
        self.top_candidates = top_candidates
        self.order = order
        self.step = step

    @torch.no_grad()
    def assign(self, logits: Tensor, boxes: Tensor, targets: Targets) -> MatchedPairs:
        """See :class:`HungarianAssigner`; stages with fewer pairs are filled up with pairs of weight 0."""
        cost, matches = self.costs(logits, boxes, targets), self.count_matches(boxes, targets)
        host = torch.cat([cost.flatten(), matches.flatten().to(cost)]).cpu().numpy()  # one transfer
        repeats = host[cost.numel() :].reshape(matches.shape).astype(np.int64)
        share_out(repeats, targets.counts, boxes.shape[2])
        cost = host[: cost.numel()].reshape(cost.shape)
        stages = [solve(*stage) for stage in zip(cost, [targets.counts] * len(cost), repeats)]
        counts = [stage.shape[1] for stage in stages]
        longest = max(counts)
        pairs = np.stack([np.pad(stage, ((0, 0), (0, longest - stage.shape[1])), mode='edge') for stage in stages], 1)
        weight = (torch.arange(longest) < torch.tensor(counts)[:, None]).to(logits.dtype)  # (S, M)
        return MatchedPairs(
            *torch.from_numpy(pairs).to(logits.device, non_blocking=True), weight.to(logits.device, non_blocking=True)
        )

    def count_matches(self, boxes: Tensor, targets: Targets) -> Tensor:
        """How many proposals each ground truth is to have.

        Args:
            boxes: (S, B, N, 4) xyxy pixels.
            targets: Ground truth of the batch.

        Returns:
            (S, B, G) whole numbers of at least 1; those of padding have no meaning.
        """
        num_stages, _, num_proposals = boxes.shape[:3]
        truth = targets.boxes.to(boxes).expand(num_stages, -1, -1, -1)
        overlaps = bbox_overlaps(boxes.clamp(-FARTHEST, FARTHEST), truth).nan_to_num(0.0)  # (S, B, N, G)
        best = overlaps.topk(min(self.top_candidates, num_proposals), dim=2).values.sum(2)  # (S, B, G)
        stage = torch.arange(num_stages, device=boxes.device)
        off = dict(falling=stage, rising=num_stages - 1 - stage, constant=stage * 0)[self.order] * self.step
        matches = (best.floor() - off[:, None, None]).floor().clamp(min=1)
        matches[-1] = 1
        return matches


def share_out(matches: np.ndarray, counts: tuple[int, ...], num_proposals: int) -> None:
    """Take from the ground truths that are to have most, until an image has proposals enough, or one for each.

    Args:
        matches: (S, B, G) how many each is to have; changed in place.
        counts: Ground truths of each image.
        num_proposals: Proposals of an image (N).
    """
    for image, count in enumerate(counts):
        for row in matches[:, image, :count]:
            while row.sum() > num_proposals and row.max() > 1:
                row[row.argmax()] -= 1
