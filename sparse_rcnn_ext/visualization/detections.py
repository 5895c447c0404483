"""Detections beside the ground truth, and which of them have an object."""

from collections.abc import Sequence
from pathlib import Path

import torch
from mmdet.datasets import BaseDetDataset
from mmdet.models.detectors import BaseDetector
from mmdet.structures.bbox import bbox_overlaps
from mmengine.structures import InstanceData
from torch import Tensor

from .canvas import Canvas
from .examples import Example, load_example
from .palette import PALETTE, WHITE, color_of
from .sheet import Panel, save_sheet


def draw_detections(
    model: BaseDetector,
    dataset: BaseDetDataset,
    indices: Sequence[int],
    out_file: Path,
    score_thr: float = 0.3,
    panel_side: int = 480,
) -> None:
    """Write one PNG with two panels an image: ground truth, and detections.

    Args:
        model: Any detector of mmdet, in eval mode, with detections in pixels of the original image.
        dataset: With a test pipeline; its metainfo names the classes.
        indices: Images of the data set.
        out_file: The PNG to write.
        score_thr: Detections of a lower score are not drawn.
        panel_side: Longer side of a panel in pixels.
    """
    classes = dataset.metainfo['classes']
    panels = []
    for index in indices:
        example = load_example(dataset, index)
        with torch.no_grad():
            detections = model.test_step(example.batch)[0].pred_instances
        detections = detections[detections.scores >= score_thr]
        panels += compare(example, detections, classes, panel_side)
    save_sheet(
        panels,
        columns=4,
        out_file=out_file,
        heading=f'Ground truth (left) and detections with a score of at least {score_thr:g} (right)',
        caption='Solid: class and box agree (IoU ≥ 0.5). Dashed: missed object, or detection of none. White: crowd.',
        legend=[(name, color_of(label)) for label, name in enumerate(classes)] if len(classes) <= len(PALETTE) else (),
        group=2,
    )


def compare(
    example: Example, detections: InstanceData, classes: Sequence[str], panel_side: int = 480
) -> tuple[Panel, Panel]:
    """The two panels of an image.

    Args:
        example: The image and its ground truth.
        detections: ``bboxes`` (D, 4) xyxy in pixels of the image, ``scores`` (D,) falling, ``labels`` (D,).
        classes: Names of the classes.
        panel_side: Longer side of a panel in pixels.

    Returns:
        Ground truth, and detections.
    """
    truth = example.truth
    right, found = agree(detections, truth)
    missed = ~found & ~truth.crowds

    left_canvas = Canvas(example.image, panel_side)
    left_canvas.draw(
        truth.bboxes,
        [WHITE if is_crowd else color_of(label) for label, is_crowd in zip(truth.labels.tolist(), truth.crowds)],
        [f'crowd: {classes[label]}' if crowd else classes[label] for label, crowd in zip(truth.labels, truth.crowds)],
        missed.tolist(),
    )
    title = f'{_shorten(example.name)}: {_count(int((~truth.crowds).sum()), "object")}'

    right_canvas = Canvas(example.image, panel_side)
    right_canvas.draw(
        detections.bboxes,
        [color_of(label) for label in detections.labels.tolist()],
        [
            f'{classes[label]} {score:.2f}'.replace(' 0.', ' .')
            for label, score in zip(detections.labels, detections.scores.tolist())
        ],
        (~right).tolist(),
    )
    outcome = f'{int(found.sum())} found, {int(missed.sum())} missed, {int((~right).sum())} wrong'
    return Panel(left_canvas.render(), title), Panel(right_canvas.render(), outcome)


def _count(number: int, noun: str) -> str:
    return f'{number or "no"} {noun}{"" if number == 1 else "s"}'


def _shorten(name: str, limit: int = 28) -> str:
    return name if len(name) <= limit else f'…{name[1 - limit :]}'


def agree(detections: InstanceData, truth: InstanceData, min_iou: float = 0.5) -> tuple[Tensor, Tensor]:
    """Pair detections with objects of their class, the most confident first, each object once.

    This is COCO's rule at one IoU threshold: any number of detections may lie in a crowd of their class.

    Args:
        detections: ``bboxes`` (D, 4) xyxy, ``scores`` (D,) falling, ``labels`` (D,).
        truth: ``bboxes`` (G, 4) xyxy, ``labels`` (G,), ``crowds`` (G,) bool.
        min_iou: The least IoU of a pair; for a crowd, the least share of the detection that lies in it.

    Returns:
        Which detections are no mistake (D,), and which objects were found (G,); crowds never count as found.
    """
    boxes, same_class = detections.bboxes.cpu(), detections.labels.cpu()[:, None] == truth.labels  # (D, G)
    overlaps = bbox_overlaps(boxes, truth.bboxes) * (same_class & ~truth.crowds)
    in_crowd = bbox_overlaps(boxes, truth.bboxes, mode='iof') * (same_class & truth.crowds)
    partners = pair(overlaps, min_iou)
    found = torch.zeros(len(truth), dtype=torch.bool)
    found[partners[partners >= 0]] = True
    return (partners >= 0) | (in_crowd >= min_iou).any(dim=1), found


def pair(overlaps: Tensor, min_iou: float) -> Tensor:
    """Give each detection in turn the object that it overlaps most, of those that are left.

    Args:
        overlaps: (D, G), the most confident detection first.
        min_iou: The least overlap of a pair, above 0.

    Returns:
        (D,), the object of each; -1: none.
    """
    partners = torch.full((len(overlaps),), -1)
    left = overlaps.clone()
    for index, row in enumerate(left if overlaps.shape[1] else ()):
        best = row.argmax()
        if row[best] >= min_iou:
            partners[index] = best
            left[:, best] = 0
    return partners
