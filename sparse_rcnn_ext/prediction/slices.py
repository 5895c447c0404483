"""Large images in overlapping slices, cut by sahi (https://github.com/obss/sahi)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.structures import InstanceData
from sahi.slicing import get_slice_bboxes
from torch import Tensor
from torchvision.ops import batched_nms

from .pipeline import LoadedImage
from .run import Detector

OVERLAP = 0.2  # of a slice's side
MAX_IOU = 0.5


class SlicedPredictor:
    """Detects in slices of an image and in the whole of it; of boxes of one class that overlap, the best stays.

    sahi's own default makes one box around all that overlap; on scenes of many objects that cost a third of the AP, see
    docs/predict.md.

    Args:
        detector: Detects in each slice as in an image of that size.
        side: Of a slice, in pixels of the image. An image that is no larger is not sliced.
        batch_size: Slices at a time.
    """

    def __init__(self, detector: Detector, side: int, batch_size: int = 1) -> None:
        self.classes = detector.classes
        self._detector = detector
        self._side = side
        self._batch_size = batch_size

    def read(self, path: Path) -> LoadedImage:
        """As :meth:`Predictor.read`; raises UnreadableError also where an image cannot be sliced."""
        loaded = self._detector.read(path)
        loaded.crop(0, 0, 1, 1)
        return loaded

    def take(self, image: np.ndarray) -> LoadedImage:
        """As :meth:`Predictor.take`."""
        return self._detector.take(image)

    def predict(self, images: Sequence[LoadedImage | np.ndarray]) -> list[InstanceData]:
        """As :meth:`Predictor.predict`; one image after the other, each in batches of slices."""
        return [self._predict_one(self.take(image) if isinstance(image, np.ndarray) else image) for image in images]

    def _predict_one(self, image: LoadedImage) -> InstanceData:
        height, width = image.picture.shape[:2]
        windows = [[0, 0, width, height]]
        if max(height, width) > self._side:
            windows += get_slice_bboxes(
                height, width, self._side, self._side, overlap_height_ratio=OVERLAP, overlap_width_ratio=OVERLAP
            )
        found = []
        for first in range(0, len(windows), self._batch_size):
            batch = windows[first : first + self._batch_size]
            crops = [image.crop(*window) for window in batch]
            for detections, window in zip(self._detector.predict(crops), batch):
                if len(windows) > 1:
                    detections.bboxes = _in_the_whole(detections.bboxes, window)
                found.append(detections)
        if len(windows) == 1:
            return found[0]
        detections = InstanceData.cat(found)
        # It moves the boxes of each class far away from the others', and float32 would round them there.
        boxes, scores = detections.bboxes.double(), detections.scores.double()
        return detections[batched_nms(boxes, scores, detections.labels, MAX_IOU)]


def _in_the_whole(boxes: Tensor, window: Sequence[int]) -> Tensor:
    """(D, 4) xyxy in the pixels of a window to those of the image, cut off at the window's border."""
    left, top, right, bottom = window
    low, high = boxes.new_tensor([left, top, left, top]), boxes.new_tensor([right, bottom, right, bottom])
    return torch.minimum(torch.maximum(boxes + low, low), high)
