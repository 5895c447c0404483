"""Pictures of a report: the worst and the best images, and one image stage by stage."""

from collections.abc import Sequence
from pathlib import Path

from mmdet.datasets import BaseDetDataset

from sparse_rcnn_ext.models import SparseRCNN
from sparse_rcnn_ext.visualization.detections import compare
from sparse_rcnn_ext.visualization.examples import load_example
from sparse_rcnn_ext.visualization.palette import PALETTE, color_of
from sparse_rcnn_ext.visualization.sheet import save_sheet
from sparse_rcnn_ext.visualization.stages import draw_trace, trace_stages

from .outcomes import ImageOutcome, rank_images

NUM_IMAGES = 4
_PANEL_SIDE = 400
_CAPTION = 'Solid: class and box agree (IoU ≥ 0.5). Dashed: missed object, or detection of none. White: crowd.'


def draw_worst_and_best(
    dataset: BaseDetDataset,
    indices: Sequence[int],
    outcomes: Sequence[ImageOutcome],
    score_thr: float,
    folder: Path,
) -> list[Path]:
    """Write worst.png and best.png, ground truth beside detections; one of them, or none, where images are too few.

    Args:
        dataset: The images.
        indices: The image of each outcome.
        outcomes: Of :func:`judge_images`.
        score_thr: The least score of the detections in them.
        folder: Where the pictures go.
    """
    classes = dataset.metainfo['classes']
    few_classes = len(classes) <= len(PALETTE)
    paths = []
    for name, places in zip(('worst', 'best'), rank_images(outcomes, NUM_IMAGES), strict=True):
        if not places:
            continue
        panels = []
        for place in places:
            panels += compare(load_example(dataset, indices[place]), outcomes[place].detections, classes, _PANEL_SIDE)
        paths.append(folder / f'{name}.png')
        save_sheet(
            panels,
            columns=min(4, len(panels)),
            out_file=paths[-1],
            heading=f'The {name} images: ground truth (left) and detections of at least {score_thr:g} (right)',
            caption=_CAPTION,
            legend=[(name, color_of(label)) for label, name in enumerate(classes)] if few_classes else (),
            group=2,
        )
    return paths


def draw_middling_stages(
    model: SparseRCNN,
    dataset: BaseDetDataset,
    indices: Sequence[int],
    outcomes: Sequence[ImageOutcome],
    score_thr: float,
    folder: Path,
) -> list[Path]:
    """Write stages.png: the stages on the image with a middling number of objects, neither empty nor crowded.

    A model that diverged has no boxes to draw, and no picture.
    """
    by_objects = sorted(range(len(indices)), key=lambda place: len(outcomes[place].truth))
    example = load_example(dataset, indices[by_objects[len(by_objects) // 2]])
    trace = trace_stages(model, example)
    if not trace.boxes.isfinite().all():
        return []
    path = folder / 'stages.png'
    draw_trace(trace, example.image, dataset.metainfo['classes'], path, example.truth, score_thr=score_thr)
    return [path]
