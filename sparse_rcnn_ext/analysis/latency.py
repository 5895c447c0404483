"""How long a detector takes for one image on this machine."""

import platform
import time
from pathlib import Path
from statistics import median

import torch
from mmdet.models.detectors import BaseDetector
from mmdet.structures import DetDataSample


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
    detector.eval()
    image = torch.randint(256, (3, *size), dtype=torch.uint8)
    times = []
    started = time.perf_counter()
    with torch.no_grad():
        for run in range(-warm_ups, runs):
            sample = DetDataSample(metainfo=dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0)))
            _wait()
            before = time.perf_counter()
            detector.test_step(dict(inputs=[image], data_samples=[sample]))
            _wait()
            if run >= 0:
                times.append(time.perf_counter() - before)
            if len(times) >= 3 and time.perf_counter() - started > seconds:
                break
    return median(times)


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
