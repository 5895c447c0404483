"""Random predictions and ground truth, as the package's tensors and as the oracles' lists."""

from typing import NamedTuple

import torch
from torch import Tensor

from sparse_rcnn_ext.models.sparse_roi_head import StageOutputs
from sparse_rcnn_ext.models.targets import Targets
from tests.reference.set_prediction import Image


class Scene(NamedTuple):
    """A batch of images of different sizes, seen by several stages."""

    outputs: StageOutputs
    targets: Targets

    def image(self, stage: int, index: int) -> Image:
        """One image as one stage sees it."""
        count = self.targets.counts[index]
        return Image(
            self.outputs.logits[stage, index].tolist(),
            [tuple(box) for box in self.outputs.boxes[stage, index].tolist()],
            self.targets.labels[index, :count].tolist(),
            [tuple(box) for box in self.targets.boxes[index, :count].tolist()],
            *self.targets.image_whwh[index, :2].tolist(),
        )


def make_scene(
    counts: tuple[int, ...], num_stages: int = 2, num_proposals: int = 5, num_classes: int = 3, seed: int = 0
) -> Scene:
    """A scene in float64 with so many boxes in each image; predictions take gradients."""
    generator = torch.Generator().manual_seed(seed)
    num_images = len(counts)

    def draw(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    def draw_boxes(*shape: int) -> Tensor:
        corner, side = draw(*shape, 2) * 0.8, 0.05 + 0.5 * draw(*shape, 2)
        return torch.cat([corner, corner + side], dim=-1)  # relative; some reach out of the image

    whwh = (50 + 500 * draw(num_images, 2)).round().repeat(1, 2)
    boxes = draw_boxes(num_stages, num_images, num_proposals) * whwh[:, None]
    logits = 4 * draw(num_stages, num_images, num_proposals, num_classes) - 3
    most = max(counts)
    real = torch.arange(most) < torch.tensor(counts)[:, None]  # (B, G)
    targets = Targets(
        boxes=draw_boxes(num_images, most) * whwh[:, None] * real[..., None],
        labels=torch.randint(0, num_classes, (num_images, most), generator=generator) * real,
        counts=counts,
        image_whwh=whwh,
    )
    return Scene(StageOutputs(logits.requires_grad_(), boxes.requires_grad_()), targets)
