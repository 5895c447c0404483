"""An exported file beside the detector that it was made of, on one image."""

from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch
from mmdet.structures import DetDataSample

from sparse_rcnn_ext.prediction import LoadedImage, Predictor

from .comparison import Difference, Tolerance, compare
from .latency import time_in_turns
from .runtime import Detections, Detector
from .runtime.network_input import Batch

TOLERANCES = dict(
    float32=Tolerance(iou=0.999, score=1e-3),
    float16=Tolerance(iou=0.9, score=0.03),
    # The same objects are found.
    int8=Tolerance(iou=0.5, score=0.2, score_thr=0.3),
)
ROUNDS = 5
# One level of 255 more or less, where OpenCV's integers round the other way.
LEVELS = 1.01


class Check(NamedTuple):
    """What was found."""

    pixels: float | None
    """Largest difference of what the networks get, in levels of 255; None if the file's fixed size makes it another."""
    difference: Difference
    """Of the detections, both networks given the same."""
    seconds: tuple[float, float]
    """From the network's input to detections, the file and the detector, medians of turns."""


def check_file(file: Detector, predictor: Predictor, image: LoadedImage, tolerance: Tolerance) -> Check:
    """Compare input, detections and time.

    Args:
        file: The exported file.
        predictor: What it was exported of, on the CPU.
        image: Of ``predictor.read``.
        tolerance: What counts as the same detection.
    """
    batch = file.prepare([np.ascontiguousarray(image.picture[..., ::-1])])
    difference = compare(run_file(file, batch)[0], run_eager(predictor.model, batch)[0], tolerance)
    runs = dict(file=lambda: run_file(file, batch), detector=lambda: run_eager(predictor.model, batch))
    seconds = time_in_turns(runs, ROUNDS)
    medians = median(seconds['file']), median(seconds['detector'])
    return Check(_compare_inputs(batch, predictor, image, file.metadata), difference, medians)


def run_file(file: Detector, batch: Batch) -> list[Detections]:
    """All detections of each image, in pixels of the network's input."""
    return [Detections(*image) for image in zip(*file.run(batch.pixels, batch.sizes), strict=True)]


def run_eager(detector: torch.nn.Module, batch: Batch) -> list[Detections]:
    """The same by ``SparseRCNN.predict``, not clipped, as what a file gives is not."""
    samples = [DetDataSample(metainfo=dict(img_shape=tuple(size))) for size in batch.sizes.tolist()]
    clip_boxes, detector.clip_boxes = detector.clip_boxes, False
    try:
        with torch.no_grad():
            found = detector.predict(torch.from_numpy(batch.pixels), samples, rescale=False)
    finally:
        detector.clip_boxes = clip_boxes
    found = [sample.pred_instances for sample in found]
    return [Detections(image.bboxes.numpy(), image.scores.numpy(), image.labels.numpy()) for image in found]


def _compare_inputs(batch: Batch, predictor: Predictor, image: LoadedImage, metadata: dict[str, Any]) -> float | None:
    """Largest difference from what the test pipeline and the data preprocessor make of the image."""
    ready = predictor.model.data_preprocessor(predictor.pack([image]), training=False)
    theirs = ready['inputs'].numpy()
    if tuple(ready['data_samples'][0].img_shape[:2]) != tuple(batch.sizes[0]):
        return None
    height, width = batch.sizes[0]
    levels = np.float32(metadata['std'])[:, None, None]
    apart = (batch.pixels[0, :, :height, :width] - theirs[0, :, :height, :width]) * levels
    return float(np.abs(apart).max())
