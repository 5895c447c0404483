"""An exported file beside the detector that it was made of: their detections of an image, and their time."""

import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch
from mmdet.structures import DetDataSample
from scipy.optimize import linear_sum_assignment
from torchvision.ops import box_iou

from sparse_rcnn_ext.prediction import LoadedImage, Predictor

from .runtime import Detections, Detector
from .runtime.network_input import Batch


class Tolerance(NamedTuple):
    """What two detections of the same thing may differ by."""

    iou: float
    """Least overlap of the boxes."""
    score: float
    """Most difference of the scores."""
    score_thr: float = 0.05
    """Detections under it are not looked for."""


class Difference(NamedTuple):
    """What a comparison found."""

    compared: int
    """Detections of either side over the score threshold that were looked for on the other."""
    missing: int
    """Those without a partner of the same label within the tolerance."""
    iou: float
    """Least overlap of two partners; 1 without any."""
    score: float
    """Largest difference of the scores, of partners or of equal ranks."""

    def is_within(self, tolerance: Tolerance) -> bool:
        """Whether all have partners, and the scores of equal ranks are as close."""
        return not self.missing and self.score <= tolerance.score


def compare(ours: Detections, theirs: Detections, tolerance: Tolerance) -> Difference:
    """Compare all that either side gives a score over the tolerance's with all that the other gives.

    Both hold as many of the best as their file keeps. Where the last places are so close that either side may have
    chosen another one, these are left out.

    Raises:
        ValueError: If the two do not hold equally many.
    """
    if len(ours.scores) != len(theirs.scores):
        raise ValueError(f'{len(ours.scores)} detections cannot be compared with {len(theirs.scores)}')
    if not len(ours.scores):
        return Difference(0, 0, 1.0, 0.0)
    by_rank = np.abs(np.sort(ours.scores) - np.sort(theirs.scores)).max().item()
    # Not more, or else a large difference would excuse itself.
    doubt = 2 * min(by_rank, tolerance.score)
    compared, missing, worst_iou, worst_score = 0, 0, 1.0, by_rank
    for side, other in ((ours, theirs), (theirs, ours)):
        kept = side.scores > max(tolerance.score_thr, side.scores.min() + doubt)
        iou, score = _partners(Detections(*(values[kept] for values in side)), other)
        is_partner = (iou >= tolerance.iou) & (score <= tolerance.score)
        compared += len(iou)
        missing += int((~is_partner).sum())
        worst_iou = min(worst_iou, *iou[is_partner].tolist(), 1.0)
        worst_score = max(worst_score, *score[is_partner].tolist(), 0.0)
    return Difference(compared, missing, worst_iou, worst_score)


def _partners(some: Detections, others: Detections) -> tuple[np.ndarray, np.ndarray]:
    """Overlap (S,) and difference in score (S,) of each with a partner of its own label; 0 and 1 without one."""
    iou = box_iou(torch.from_numpy(some.boxes), torch.from_numpy(others.boxes)).nan_to_num(0.0).numpy()
    score = np.abs(some.scores[:, None] - others.scores)
    is_same = some.labels[:, None] == others.labels
    iou, score = np.where(is_same, iou, 0.0), np.where(is_same, score, 1.0)
    rows, columns = linear_sum_assignment(score - iou)
    return iou[rows, columns], score[rows, columns]


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


# Threads of a runtime go on spinning for a moment after its run, which would be the next one's loss.
REST = 0.05
# TorchScript compiles in its first two runs.
WARM_UPS = 3


def time_in_turns(runs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, tuple[float, ...]]:
    """Seconds of each run in each round, by name; what slows the machine down for a while slows all.

    Args:
        runs: What to time.
        rounds: How often, beside a few rounds that do not count.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(-WARM_UPS, rounds):
        for name, run in runs.items():
            time.sleep(REST)
            started = time.perf_counter()
            run()
            if turn >= 0:
                seconds[name].append(time.perf_counter() - started)
    return {name: tuple(found) for name, found in seconds.items()}
