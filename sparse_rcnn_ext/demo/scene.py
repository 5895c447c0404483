"""An image and all that the stages say about it, from one run of the model, and what the page shows of it."""

from typing import NamedTuple

import cv2
import numpy as np
import torch
from mmengine.structures import InstanceData
from torch import Tensor

from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.models import SparseRCNN
from sparse_rcnn_ext.models.post_process import inside_image, top_detections
from sparse_rcnn_ext.prediction import LoadedImage, Predictor, draw_detections
from sparse_rcnn_ext.visualization import StageTrace, trace_stages
from sparse_rcnn_ext.visualization.examples import Example
from sparse_rcnn_ext.visualization.palette import BLACK, WHITE, Color, color_of

MIN_SIDE, MAX_SIDE = 720, 1600  # of a picture's longer side, in pixels: labels are readable, and drawing is fast


class Scene(NamedTuple):
    """What is kept of an image."""

    name: str
    """Of the file."""
    size: tuple[int, int]
    """Width and height of the file in pixels."""
    picture: np.ndarray
    """(h, w, 3) uint8 BGR, the image in a size for the screen."""
    trace: StageTrace
    """On the CPU; boxes in pixels of the file."""
    classes: tuple[str, ...]
    max_per_img: int
    """Detections of a stage, at most."""

    @property
    def num_stages(self) -> int:
        """How many stages ran."""
        return len(self.trace.scores)


def look_at(predictor: Predictor, image: LoadedImage | np.ndarray, name: str) -> Scene:
    """Run the model on an image.

    Args:
        predictor: Of a Sparse R-CNN.
        image: Of ``predictor.read``, or (H, W, 3) uint8 BGR.
        name: Of the file.
    """
    loaded = predictor.take(image) if isinstance(image, np.ndarray) else image
    trace = trace_stages(predictor.model, Example(loaded.picture, InstanceData(), name, predictor.pack([loaded])))
    height, width = loaded.picture.shape[:2]
    return Scene(
        name,
        (width, height),
        _for_screen(loaded.picture),
        trace._replace(boxes=trace.boxes.cpu(), scores=trace.scores.cpu()),
        predictor.classes,
        predictor.model.max_per_img,
    )


def require_stages(predictor: Predictor) -> None:
    """Raise UserError where the model is no Sparse R-CNN of ours, which has stages to look at."""
    if not isinstance(predictor.model, SparseRCNN):
        raise UserError(
            f'the model is a {type(predictor.model).__name__}, and the page shows the stages of a '
            'sparse_rcnn_ext.SparseRCNN: give a config of one'
        )


def _for_screen(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    side = max(height, width)
    scale = min(max(side, MIN_SIDE), MAX_SIDE) / side
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(image, size, interpolation=cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA)


COLUMNS = ('label', 'score', 'x1', 'y1', 'x2', 'y2')

Row = list[str | float | None]


class View(NamedTuple):
    """A scene after one of its stages."""

    picture: np.ndarray
    """(h, w, 3) uint8 BGR, in the size of the scene's picture."""
    rows: list[Row]
    """As COLUMNS says: boxes xyxy in pixels of the file, inside it. Learned proposals have no label and no score."""
    results: list[dict]
    """Detections in COCO's result format, also with ``category_name``; images and classes are counted from 1."""
    caption: str
    """What is seen, in one line."""


def show(scene: Scene, stage: int, score_thr: float, with_rest: bool = False) -> View:
    """Draw and list what there is after a stage.

    After stage ``s`` stand the detections of a model that stops there. Stage 0 stands for the proposals. Boxes that
    become detections later on are outlined in the colour of what they become.

    Args:
        scene: The image.
        stage: From 0 to ``scene.num_stages``.
        score_thr: The least score of what is shown.
        with_rest: Outline all others, too, in white. Proposals are all outlined in any case.
    """
    boxes = scene.trace.boxes[stage]  # (N, 4)
    to_picture = boxes.new_tensor(scene.picture.shape[1::-1]) / boxes.new_tensor(scene.size)
    to_picture = to_picture.repeat(2)  # (4,)
    last, labels = scene.trace.scores[-1].max(dim=-1)  # (N,)
    order = last.argsort(descending=True)
    is_later = last >= score_thr
    if stage:
        is_now = scene.trace.scores[stage - 1].amax(dim=-1) >= score_thr
        is_later &= ~is_now
        is_rest = ~(is_now | is_later)
    else:
        is_rest = ~is_later

    picture = scene.picture.copy()
    if with_rest or not stage:
        _draw_outlines(picture, boxes[is_rest] * to_picture, [WHITE] * int(is_rest.sum()), 1)
    later = order[is_later[order]].flip(0)  # the best on top
    _draw_outlines(picture, boxes[later] * to_picture, [color_of(label) for label in labels[later].tolist()], 2)
    if not stage:
        limit = boxes.new_tensor(scene.size).repeat(2)
        rows = [['', None, *_rounded(box)] for box in boxes[order].clamp(min=0).minimum(limit).tolist()]
        kind = 'learned proposals, the same for every image' if scene.trace.are_learned else 'proposals of this image'
        caption = f'{len(boxes)} {kind}; {len(later)} become detections'
        return View(picture, rows, [], caption)

    found = _detections(scene, stage, score_thr)
    at_screen = InstanceData(bboxes=found.bboxes * to_picture, scores=found.scores, labels=found.labels)
    rows = [
        [scene.classes[label], round(score, 3), *_rounded(box)]
        for label, score, box in zip(found.labels.tolist(), found.scores.tolist(), found.bboxes.tolist())
    ]
    noun = 'detection' if len(found) == 1 else 'detections'
    caption = f'{len(found) or "no"} {noun} after stage {stage}'
    if len(later):
        caption += f', and {len(later)} to come (without a label)'
    return View(draw_detections(picture, at_screen, scene.classes), rows, _coco(found, scene.classes), caption)


def _detections(scene: Scene, stage: int, score_thr: float) -> InstanceData:
    """Inside the image, as those of tools/predict.py: without such as lie beyond it."""
    trace = scene.trace
    boxes, scores, labels = top_detections(
        trace.scores[stage - 1, None], trace.boxes[stage, None], scene.max_per_img, trace.one_label
    )
    found = InstanceData(bboxes=boxes[0], scores=scores[0], labels=labels[0])
    width, height = scene.size
    return inside_image(found[found.scores >= score_thr], height, width)


def _rounded(box: list[float]) -> list[float]:
    return [round(value, 1) for value in box]


def _coco(found: InstanceData, classes: tuple[str, ...]) -> list[dict]:
    return [
        dict(
            image_id=1,
            category_id=label + 1,
            category_name=classes[label],
            bbox=[round(value, 3) for value in (left, top, right - left, bottom - top)],
            score=round(score, 6),
        )
        for (left, top, right, bottom), score, label in zip(
            found.bboxes.tolist(), found.scores.tolist(), found.labels.tolist()
        )
    ]


def _draw_outlines(picture: np.ndarray, boxes: Tensor, colors: list[Color], line: int) -> None:
    """Boxes (n, 4) xyxy without labels, drawn into a BGR picture; what lies outside is cut off."""
    height, width = picture.shape[:2]
    # OpenCV counts in 32 bits, and nothing bounds a learned box.
    limit = boxes.new_tensor([width, height, width, height]) - 1
    corners = torch.minimum(boxes.clamp(min=0), limit).round().int().tolist()
    shaded = picture.copy()
    for left, top, right, bottom in corners:
        cv2.rectangle(shaded, (left, top), (right, bottom), BLACK, line + 2)
    cv2.addWeighted(shaded, 0.5, picture, 0.5, 0, dst=picture)
    for (left, top, right, bottom), (red, green, blue) in zip(corners, colors):
        cv2.rectangle(picture, (left, top), (right, bottom), (blue, green, red), line)
