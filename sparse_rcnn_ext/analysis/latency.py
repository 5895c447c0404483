"""How long a detector takes for one image on this machine."""

import platform
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import torch
from mmdet.models.detectors import BaseDetector
from mmdet.structures import DetDataSample
from torch import Tensor

from sparse_rcnn_ext.engine.config.input_images import input_channels


def measure_latency(
    detector: BaseDetector, size: tuple[int, int], warm_ups: int = 3, runs: int = 30, seconds: float = 60.0
) -> float:
    """Median time in seconds from an image in memory to its detections: normalisation, network, and top scores.

    Args:
        detector: On the device to measure; it is left in eval mode.
        size: Height and width of the image in pixels, before batch padding.
        warm_ups: Runs that are not measured.
        runs: Runs that are measured.
        seconds: After so many, and three runs, measuring stops.
    """
    return median(alone for (alone,) in _in_turns([detector], size, warm_ups, runs, seconds))


def compare_latency(
    detector: BaseDetector,
    other: BaseDetector,
    size: tuple[int, int],
    warm_ups: int = 3,
    runs: int = 100,
    seconds: float = 120.0,
) -> float:
    """Latency as a share of another detector's: the median over pairs of runs, one of each in turns.

    What slows the machine down for a while slows both; two medians of their own would differ by it. Arguments as in
    :func:`measure_latency`.
    """
    return median(ours / others for ours, others in _in_turns([detector, other], size, warm_ups, runs, seconds))


def _in_turns(
    detectors: Sequence[BaseDetector], size: tuple[int, int], warm_ups: int, runs: int, seconds: float
) -> list[tuple[float, ...]]:
    """The seconds of each detector, run by run."""
    for detector in detectors:
        detector.eval()
    images = [torch.randint(256, (input_channels(detector), *size), dtype=torch.uint8) for detector in detectors]
    times: list[tuple[float, ...]] = []
    started = time.perf_counter()
    for run in range(-warm_ups, runs):
        turn = tuple(map(_run, detectors, images))
        if run >= 0:
            times.append(turn)
        if len(times) >= 3 and time.perf_counter() - started > seconds:
            break
    return times


@torch.no_grad()
def _run(detector: BaseDetector, image: Tensor) -> float:
    size = tuple(image.shape[1:])
    sample = DetDataSample(metainfo=dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0)))
    _wait()
    before = time.perf_counter()
    detector.test_step(dict(inputs=[image], data_samples=[sample]))
    _wait()
    return time.perf_counter() - before


def _wait() -> None:
    """Until the GPU is done, if there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def device_name() -> str:
    """What computes: the GPU's name, or the CPU's with the number of threads that torch uses."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    cpus = Path('/proc/cpuinfo')
    lines = cpus.read_text().splitlines() if cpus.is_file() else []
    names = [line.partition(':')[2].strip() for line in lines if line.startswith('model name')]
    threads = torch.get_num_threads()
    return f'{names[0] if names else platform.machine()}, {threads} thread{"s" if threads > 1 else ""}'
