"""Noised ground truth as extra proposals in training."""

from typing import NamedTuple

import torch
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy, bbox_xyxy_to_cxcywh
from mmengine.model import BaseModule
from torch import Tensor, nn

from sparse_rcnn_ext.models.sparse_roi_head import StageOutputs
from sparse_rcnn_ext.models.targets import MatchedPairs, Targets
from sparse_rcnn_ext.registry import MODELS


class NoisedProposals(NamedTuple):
    """Noised boxes of a batch, D groups of G for each image: behind an image's own boxes, a group is padding."""

    boxes: Tensor
    """(B, D·G, 4) xyxy pixels."""
    features: Tensor
    """(B, D·G, C)."""
    targets: Targets
    """What they were made from."""

    def join(
        self, boxes: Tensor, features: Tensor, prior: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Put them behind the proposals.

        Args:
            boxes: (B, N, 4).
            features: (B, N, C).
            prior: (B, N, 1) as of :class:`SparseRoIHead`. The noised boxes, of which an object is known, have that of
                the image's surest proposal.

        Returns:
            The same of N + D·G.
        """
        boxes = torch.cat([boxes, self.boxes.to(boxes)], 1)
        features = torch.cat([features, self.features.to(features)], 1)
        if prior is not None:
            sure = prior.detach().amax(1, keepdim=True).expand(-1, self.boxes.shape[1], -1)
            prior = torch.cat([prior, sure], 1)
        return boxes, features, prior

    def hidden(self, num_proposals: int) -> Tensor:
        """Who must not see whom, (B, N + D·G, N + D·G), True where row must not see column.

        Proposals see proposals, a group sees its own boxes, and every row sees itself.
        """
        real = self._is_real()  # (B, D·G)
        size = self.targets.boxes.shape[1]
        group = torch.arange(real.shape[1], device=real.device) // max(size, 1) + 1
        group = torch.cat([group.new_zeros(num_proposals), group])  # 0: the proposals
        seen = torch.cat([real.new_ones(len(real), num_proposals), real], 1)[:, None]  # (B, 1, N + D·G)
        hidden = (group[:, None] != group) | ~seen
        return hidden & ~torch.eye(len(group), dtype=torch.bool, device=real.device)

    def split(self, outputs: StageOutputs) -> tuple[StageOutputs, tuple[StageOutputs, MatchedPairs, Targets]]:
        """Take the stages' outputs apart.

        Returns:
            Those of the proposals, and of the noised boxes what :meth:`SparseRCNNCriterion.pair_losses` takes: each box
            as an image of its own with one proposal and the one ground truth that it was made from.
        """
        first = outputs.boxes.shape[2] - self.boxes.shape[1]
        images = torch.tensor([image for image, _ in self._places()], dtype=torch.long)
        places = torch.tensor([place for _, place in self._places()], dtype=torch.long)
        images, places = (index.to(outputs.boxes.device, non_blocking=True) for index in (images, places))
        truths = places % max(self.targets.boxes.shape[1], 1)
        targets = Targets(
            boxes=self.targets.boxes[images, truths][:, None],
            labels=self.targets.labels[images, truths][:, None],
            counts=(1,) * len(images),
            image_whwh=self.targets.image_whwh[images],
        )
        every = torch.arange(len(images), device=images.device).expand(len(outputs.boxes), -1)  # (S, M)
        pairs = MatchedPairs(every, torch.zeros_like(every), torch.zeros_like(every))
        noised = StageOutputs(*(part[:, images, first + places][:, :, None] for part in outputs))
        return StageOutputs(*(part[:, :, :first] for part in outputs)), (noised, pairs, targets)

    def _places(self) -> list[tuple[int, int]]:
        """Image and place of every noised box that is no padding; numbers on the host, so that nothing waits."""
        total, size = self.boxes.shape[1], self.targets.boxes.shape[1]
        return [
            (image, place)
            for image, count in enumerate(self.targets.counts)
            for place in range(total)
            if place % size < count
        ]

    def _is_real(self) -> Tensor:
        size = max(self.targets.boxes.shape[1], 1)
        within = torch.arange(self.boxes.shape[1], device=self.boxes.device) % size
        counts = torch.tensor(self.targets.counts).to(within.device, non_blocking=True)
        return within < counts[:, None]


@MODELS.register_module()
class BoxDenoising(BaseModule):
    """Makes noised copies of the ground truth boxes, from which the stages learn to find the way back.

    DN-DETR (https://arxiv.org/abs/2203.01305), section 4: as it is known where each copy belongs, they are learned from
    without matching. Here the copies share one learned content feature, so that the class is read from the image, and
    neither see the proposals nor are seen by them. They are gone at inference.

    Args:
        in_channels: Channels of a proposal's feature (C).
        num_groups: Copies of each box (D).
        noise: Centres move by up to this share of half a side, and sides become longer or shorter by up to this share.
        max_boxes: Fewer groups are made of a batch whose fullest image would get more copies than this; one always is.
    """

    def __init__(self, in_channels: int, num_groups: int = 5, noise: float = 0.4, max_boxes: int = 300) -> None:
        super().__init__()
        self.num_groups = num_groups
        self.noise = noise
        self.max_boxes = max_boxes
        self.content = nn.Embedding(1, in_channels)

    def forward(self, targets: Targets) -> NoisedProposals:
        """Noise the ground truth of a batch."""
        num_images, size = targets.boxes.shape[:2]
        groups = max(1, min(self.num_groups, self.max_boxes // max(size, 1)))
        centres, sides = bbox_xyxy_to_cxcywh(targets.boxes.repeat(1, groups, 1)).split(2, dim=-1)  # (B, D·G, 2)
        shift, stretch = (self.noise * (2 * torch.rand_like(sides) - 1) for _ in range(2))  # −noise … noise
        noised = torch.cat([centres + shift * sides / 2, sides * (1 + stretch)], dim=-1)
        features = self.content.weight.expand(num_images, groups * size, -1)
        return NoisedProposals(bbox_cxcywh_to_xyxy(noised), features, targets)
