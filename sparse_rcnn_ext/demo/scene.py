"""An image and all that the stages say about it: the model runs once."""

from typing import NamedTuple

import cv2
import numpy as np
from mmengine.structures import InstanceData

from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.models import SparseRCNN
from sparse_rcnn_ext.prediction import LoadedImage, Predictor
from sparse_rcnn_ext.visualization import StageTrace, trace_stages
from sparse_rcnn_ext.visualization.examples import Example

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
