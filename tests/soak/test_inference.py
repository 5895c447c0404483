"""Detecting objects in thousands of images takes no more memory than in a few."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config

from sparse_rcnn_ext.prediction import CocoFiles, CocoIds, Predictor, find_sources, predict_all
from tests.soak.watch import MB, resident, slope

IMAGES = 5000
WARM_UP = 1500

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path('/proc/self/statm').exists(), reason='memory is read from /proc of Linux'),
]


class Scale:
    """Takes detections, and notes the memory of this process and its open files every 50 images."""

    def __init__(self) -> None:
        self.images = 0
        self.memory: list[tuple[float, float]] = []
        self.files: list[int] = []

    def add(self, frame: object, detections: object) -> None:
        self.images += 1
        if self.images % 50 == 0:
            self.memory.append((self.images, resident(os.getpid())))
            self.files.append(len(list(Path('/proc/self/fd').iterdir())))

    def close(self) -> None:
        pass


def test_memory_and_files_stay_as_they_are(tiny_detector, tmp_path):
    rng = np.random.default_rng(0)
    for number in range(10):
        height, width = (int(side) for side in rng.integers(40, 120, 2))
        cv2.imwrite(str(tmp_path / f'{number}.jpg'), rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
    folder = tmp_path / 'images'
    folder.mkdir()
    for number in range(IMAGES):
        (folder / f'{number:04}.jpg').symlink_to(tmp_path / f'{number % 10}.jpg')
    config, checkpoint = tiny_detector
    cfg = Config.fromfile(config)
    cfg.test_dataloader.dataset.pipeline[1].scale = (64, 48)
    predictor = Predictor(cfg, str(checkpoint), 'cpu')
    scale = Scale()
    sinks = [scale, CocoFiles(tmp_path / 'found.json', CocoIds(predictor.classes))]
    sources, problems = find_sources([str(folder)])
    assert not problems
    summary = predict_all(predictor, sources, sinks, score_thr=0.01)
    assert summary.images == IMAGES and summary.problems == 0 and summary.detections > IMAGES
    growth = slope(scale.memory, WARM_UP) * 1000 / MB
    assert growth < 1, f'{growth:.2f} MB in 1,000 images'
    assert scale.files[-1] <= scale.files[0]
