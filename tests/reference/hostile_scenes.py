"""Scenes of whatever a network may say in half precision."""

import torch
from hypothesis import strategies as st

from sparse_rcnn_ext.models.sparse_roi_head import StageOutputs
from sparse_rcnn_ext.models.targets import Targets
from tests.models.test_extreme_values import BOXES, CLASSES, HEIGHT, TARGETS, WIDTH, corners, draw, logits
from tests.reference.scenes import Scene


def draw_hostile_scene(data: st.DataObject, dtype: torch.dtype, most_proposals: int = 4) -> Scene:
    """Two stages on one image: logits of ``dtype`` up to ±1e4, and in float32 boxes of any size, place and turn."""
    num_proposals, count = data.draw(st.integers(1, most_proposals)), data.draw(st.integers(0, 5))
    said = draw(data, logits, 2 * num_proposals * CLASSES).view(2, 1, num_proposals, CLASSES).to(dtype)
    boxes = draw(data, st.one_of(*BOXES.values(), *TARGETS.values()), 2 * num_proposals)
    targets = Targets(
        boxes=corners(draw(data, st.one_of(*TARGETS.values()), count).view(1, count, 4)),
        labels=torch.arange(count).view(1, count) % CLASSES,
        counts=(count,),
        image_whwh=torch.tensor([[WIDTH, HEIGHT, WIDTH, HEIGHT]]),
    )
    boxes = corners(boxes.view(2, 1, num_proposals, 4))
    return Scene(StageOutputs(said.requires_grad_(), boxes.requires_grad_()), targets)
