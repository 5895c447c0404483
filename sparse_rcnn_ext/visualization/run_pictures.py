"""The pictures of a trained model."""

from pathlib import Path

import numpy as np
from mmdet.models.detectors import BaseDetector
from mmdet.registry import DATASETS, MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint

from sparse_rcnn_ext.datasets.joined import settle_classes
from sparse_rcnn_ext.engine.config.config_parts import scope_of

from .detections import draw_detections
from .stages import draw_stages


def draw_run(
    cfg: Config, checkpoint: Path, out_dir: Path, num_images: int = 6, score_thr: float = 0.3
) -> tuple[Path, Path]:
    """Draw detections on images spread evenly over the test split, and the stages on one of them.

    Args:
        cfg: The config of a Sparse R-CNN, with a ``test_dataloader``.
        checkpoint: Its weights.
        out_dir: Where the pictures go.
        num_images: Images with detections.
        score_thr: Detections of a lower score are not drawn.

    Returns:
        Paths of detections.png and stages.png.
    """
    init_default_scope(scope_of(cfg))
    model = load_model(cfg, checkpoint)
    dataset = settle_classes(DATASETS.build(cfg.test_dataloader.dataset), 'test_dataloader.dataset')
    indices = np.linspace(0, len(dataset) - 1, min(num_images, len(dataset))).astype(int).tolist()
    detections, stages = out_dir / 'detections.png', out_dir / 'stages.png'
    draw_detections(model, dataset, indices, detections, score_thr)
    # The one with a middling number of objects: neither empty nor crowded.
    by_objects = sorted(indices, key=lambda index: len(dataset.get_data_info(index)['instances']))
    draw_stages(model, dataset, by_objects[len(by_objects) // 2], stages, score_thr=score_thr)
    return detections, stages


def load_model(cfg: Config, checkpoint: Path) -> BaseDetector:
    """The model of ``cfg`` with the weights of ``checkpoint``, on the CPU, in eval mode."""
    model = MODELS.build(cfg.model)
    load_checkpoint(model, str(checkpoint), map_location='cpu')
    return model.eval()
