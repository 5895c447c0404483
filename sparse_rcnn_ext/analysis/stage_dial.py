"""What a trained model gains by each further stage, and what the stage costs."""

import copy
from collections.abc import Callable
from statistics import median
from typing import NamedTuple

import numpy as np
import torch
from mmdet.datasets import BaseDetDataset
from mmengine.dataset import pseudo_collate

from sparse_rcnn_ext.models import SparseRCNN
from sparse_rcnn_ext.report.judgement import judge
from sparse_rcnn_ext.report.predictions import predict_stages
from sparse_rcnn_ext.report.truth import read_truth

from .benchmark.timing import progress, timed

PRECISIONS = ('AP', 'AP50', 'AP75')
_WARM_UPS = 2


class DialRow(NamedTuple):
    """Inference that stops after so many stages."""

    stages: int
    precisions: dict[str, float]
    """The values of ``PRECISIONS``, from 0 to 1."""
    seconds: tuple[float, ...]
    """For one image, from memory to its detections; a measurement each."""

    @property
    def latency(self) -> float:
        """The median of ``seconds``."""
        return median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """Between them lies the middle half of ``seconds``."""
        lower, upper = np.quantile(self.seconds, (0.25, 0.75))
        return float(lower), float(upper)


def measure_precisions(
    model: SparseRCNN, dataset: BaseDetDataset, batch_size: int, num_workers: int
) -> list[dict[str, float]]:
    """The ``PRECISIONS`` by stage, from one pass over a data set.

    Args:
        model: In eval mode, on its device.
        dataset: With a test pipeline.
        batch_size: Images in a batch.
        num_workers: Processes that load images; 0: this one.
    """
    indices = range(len(dataset))
    model.num_test_stages = model.roi_head.num_stages
    found = predict_stages(model, dataset, indices, batch_size, num_workers, score_thr=0.0, progress=True).stages
    truth = read_truth(dataset, indices)
    judged = [judge(truth, of_stage, dataset.metainfo['classes']).stats for of_stage in found]
    return [{name: stats[name] for name in PRECISIONS} for stats in judged]


def measure_latencies(model: SparseRCNN, dataset: BaseDetDataset, rounds: int) -> list[tuple[float, ...]]:
    """Seconds for the data set's first image by number of stages, which are measured in turns.

    Args:
        model: In eval mode, on its device; its ``num_test_stages`` is left at all.
        dataset: With a test pipeline, whose own time does not count.
        rounds: How often each is measured.
    """
    batch = pseudo_collate([dataset[0]])
    device = next(model.parameters()).device.type
    numbers = range(1, model.roi_head.num_stages + 1)
    measures = [timed(_stop_after(model, number, batch), 'image', device) for number in numbers]
    seconds: list[list[float]] = [[] for _ in numbers]
    with progress((_WARM_UPS + rounds) * len(numbers), 'timing') as bar:
        for turn in range(_WARM_UPS + rounds):
            for measure, found in zip(measures, seconds, strict=True):
                time = measure()['image']
                if turn >= _WARM_UPS:
                    found.append(time)
                bar.update()
    return [tuple(found) for found in seconds]


def _stop_after(model: SparseRCNN, number: int, batch: dict) -> Callable[[], object]:
    def detect() -> object:
        model.num_test_stages = number
        with torch.no_grad():
            return model.test_step(copy.copy(batch))

    return detect
