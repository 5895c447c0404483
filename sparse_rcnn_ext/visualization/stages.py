"""The proposals of one image, and how each stage moves them."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from mmdet.datasets import BaseDetDataset
from mmengine.structures import InstanceData
from torch import Tensor

from sparse_rcnn_ext.models import SparseRCNN
from sparse_rcnn_ext.models.targets import pack_image_whwh, pack_scale_factors

from .canvas import Canvas
from .examples import Example, load_example
from .palette import GREY, PALETTE, WHITE
from .sheet import Panel, save_sheet


class StageTrace(NamedTuple):
    """Where the proposals of an image are, stage by stage."""

    boxes: Tensor
    """(S + 1, N, 4) xyxy in pixels of the original image: the proposals, then every stage's boxes."""
    scores: Tensor
    """(S, N, K) of every stage, 0 to 1."""
    are_learned: bool = True
    """Whether the proposals are the same for every image."""
    one_label: bool = False
    """Whether a proposal gives one detection, of its best class."""


def trace_stages(model: SparseRCNN, example: Example) -> StageTrace:
    """Run the stages on one image.

    Args:
        model: In eval mode.
        example: The image.
    """
    with torch.no_grad():
        batch = model.data_preprocessor(example.batch, False)
        image_whwh = pack_image_whwh(batch['data_samples'], batch['inputs'])  # (1, 4)
        proposals = model.rpn_head(image_whwh, model.extract_feat(batch['inputs']))[0]  # (1, N, 4)
        outputs = model.forward_stages(batch['inputs'], image_whwh)
    boxes = torch.cat([proposals, outputs.boxes[:, 0]])  # (S + 1, N, 4)
    boxes = boxes / pack_scale_factors(batch['data_samples'], boxes)
    head = model.roi_head
    return StageTrace(boxes, head.scores(outputs.logits[:, 0]), model.rpn_head.are_learned, head.one_label)


def draw_stages(
    model: SparseRCNN,
    dataset: BaseDetDataset,
    index: int,
    out_file: Path,
    max_tracks: int = len(PALETTE),
    score_thr: float = 0.3,
    panel_side: int = 380,
    max_columns: int = 5,
) -> None:
    """Write one PNG with a panel for the proposals, one for each stage, and one for the ground truth.

    The proposals behind the last stage's most confident boxes keep their colour and number from panel to panel.

    Args:
        model: In eval mode.
        dataset: With a test pipeline; its metainfo names the classes.
        index: Image of the data set.
        out_file: The PNG to write.
        max_tracks: Proposals to follow, at most; there are seven colours.
        score_thr: Least score in the last stage of a proposal to follow; the best one is followed in any case.
        panel_side: Longer side of a panel in pixels.
        max_columns: Panels in a row, at most.
    """
    example = load_example(dataset, index)
    draw_trace(
        trace_stages(model, example),
        example.image,
        dataset.metainfo['classes'],
        out_file,
        example.truth,
        max_tracks,
        score_thr,
        panel_side,
        max_columns,
    )


def draw_trace(
    trace: StageTrace,
    image: np.ndarray,
    classes: Sequence[str],
    out_file: Path,
    truth: InstanceData | None = None,
    max_tracks: int = len(PALETTE),
    score_thr: float = 0.3,
    panel_side: int = 380,
    max_columns: int = 5,
) -> None:
    """The picture of :func:`draw_stages` from a trace.

    Args:
        trace: Where the proposals of the image are.
        image: (H, W, 3) uint8 RGB.
        classes: Names of the classes.
        out_file: The PNG or JPEG to write.
        truth: As of an ``Example``; None leaves its panel out.
        max_tracks, score_thr, panel_side, max_columns: See :func:`draw_stages`.
    """
    scores, labels = trace.scores[-1].max(dim=-1)  # (N,)
    tracks = scores.argsort(descending=True)[:max_tracks]
    tracks = tracks[: max(1, int((scores[tracks] >= score_thr).sum()))]
    others = torch.ones_like(scores, dtype=torch.bool)
    others[tracks] = False

    colors = PALETTE[: len(tracks)]
    numbers = [str(number) for number in range(1, len(tracks) + 1)]
    last_stage = len(trace.boxes) - 1
    proposals = 'learned proposals' if trace.are_learned else 'proposals'
    panels = []
    for stage, boxes in enumerate(trace.boxes):
        canvas = Canvas(image, panel_side, dimmed=True)
        canvas.draw(boxes[others], [GREY] * int(others.sum()), line_width=1.0, alpha=0.5)
        names = numbers
        if stage == last_stage:
            names = [f'{number} {classes[label]}' for number, label in zip(numbers, labels[tracks])]
        # The best on top.
        canvas.draw(boxes[tracks].flip(0), colors[::-1], names[::-1])
        panels.append(Panel(canvas.render(), f'after stage {stage}' if stage else proposals))

    if truth is not None:
        truth = truth[~truth.crowds]
        canvas = Canvas(image, panel_side, dimmed=True)
        canvas.draw(truth.bboxes, [WHITE] * len(truth), [classes[label] for label in truth.labels])
        panels.append(Panel(canvas.render(), 'ground truth'))
    rows = -(-len(panels) // max_columns)
    save_sheet(
        panels,
        columns=-(-len(panels) // rows),
        out_file=out_file,
        heading=f'How {last_stage} stages move the {len(scores)} {proposals} to the objects of an image',
        caption=f'Coloured: the {len(tracks)} proposals that end with the highest scores. Grey: the others.',
    )
