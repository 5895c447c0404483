"""Several proposals for each ground truth of an image, in loops over Python floats."""

import math

import torch
from hypothesis import strategies as st

from sparse_rcnn_ext.task_modules import HungarianAssigner
from tests.reference.boxes import iou
from tests.reference.scenes import Scene, make_scene
from tests.reference.set_prediction import Image

Matches = list[list[list[tuple[int, int]]]]
"""Sorted (proposal, target) pairs of each stage and image."""


def wanted(
    image: Image, stages_before: int, stages_after: int, order: str, top: int = 8, step: float = 0.5
) -> list[int]:
    """How many proposals each ground truth of the image gets in a stage.

    OTA's number (https://arxiv.org/abs/2103.14259, section 3.3), less so much for each stage before or after, and one
    in the last stage. While that is more than there are proposals, the first of those that have most has one less.
    """
    if stages_after == 0:
        return [1] * len(image.targets)
    off = step * dict(falling=stages_before, rising=stages_after, constant=0)[order]
    numbers = []
    for target in image.targets:
        overlaps = sorted((iou(box, target) for box in image.boxes), reverse=True)
        number = math.floor(math.floor(sum(overlaps[:top])) - off)
        numbers.append(max(1, number))
    while sum(numbers) > len(image.boxes) and max(numbers) > 1:
        numbers[numbers.index(max(numbers))] -= 1
    return numbers


def repeat(image: Image, numbers: list[int]) -> Image:
    """The image with each ground truth so many times: matched one to one, it says what one to many is."""
    places = [place for place, number in enumerate(numbers) for _ in range(number)]
    return image._replace(
        labels=[image.labels[place] for place in places], targets=[image.targets[place] for place in places]
    )


def crowd(
    counts: tuple[int, ...], num_stages: int = 3, num_proposals: int = 6, noise: float = 0.1, seed: int = 0
) -> Scene:
    """A scene whose proposals lie about the ground truths of their image; ``noise`` is in units of their sides."""
    scene = make_scene(counts, num_stages, num_proposals, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    boxes = scene.outputs.boxes.detach().clone()
    for image, count in enumerate(counts):
        if count:
            picks = torch.randint(0, count, (num_stages, num_proposals), generator=generator)
            truth = scene.targets.boxes[image, picks]
            sides = (truth[..., 2:] - truth[..., :2]).repeat(1, 1, 2)
            shift = torch.rand(truth.shape, generator=generator, dtype=torch.float64) - 0.5
            boxes[:, image] = truth + noise * sides * shift
    return scene._replace(outputs=scene.outputs._replace(boxes=boxes.requires_grad_()))


def crowds(most_boxes: int, fewest_proposals: int, most_proposals: int) -> st.SearchStrategy:
    """Crowds of up to three images."""
    return st.builds(
        crowd,
        counts=st.lists(st.integers(0, most_boxes), min_size=1, max_size=3).map(tuple),
        num_stages=st.integers(1, 4),
        num_proposals=st.integers(fewest_proposals, most_proposals),
        noise=st.sampled_from([0.02, 0.1, 0.3, 1.0]),
        seed=st.integers(0, 2**31),
    )


def matches_of(assigner: HungarianAssigner, scene: Scene) -> Matches:
    """Without the pairs of weight 0, each of which must repeat another one."""
    pairs = assigner.assign(*scene.outputs, scene.targets)
    weights = torch.ones_like(pairs.image) if pairs.weight is None else pairs.weight
    found = [[[] for _ in scene.targets.counts] for _ in scene.outputs.logits]
    for stage, (*rows, row_weights) in enumerate(zip(*pairs[:3], weights)):
        entries = list(zip(*(row.tolist() for row in rows)))
        real = [entry for entry, weight in zip(entries, row_weights.tolist(), strict=True) if weight]
        assert set(row_weights.tolist()) <= {0.0, 1.0} and set(entries) == set(real)
        for image, proposal, target in real:
            found[stage][image].append((proposal, target))
    return [[sorted(image) for image in stage] for stage in found]
