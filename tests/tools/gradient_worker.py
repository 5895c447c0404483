"""The gradient of one step. As a process of torchrun, ``gradient_worker.py CONFIG OUT``, it saves the job's.

The images are split over the processes as training does; their box counts differ, so a normaliser that is not averaged
over the processes gives another gradient.
"""

import os
import sys
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import InstanceData

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sparse_rcnn_ext.engine.config.launch import join_job

BOXES = ([[5, 5, 40, 30]], [[2, 2, 30, 60], [10, 20, 90, 50], [60, 5, 80, 40], [0, 0, 95, 63], [33, 12, 47, 31]])


def make_batch(images: range) -> dict:
    from mmdet.structures import DetDataSample  # after sparse_rcnn_ext

    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (len(BOXES), 3, 64, 96), dtype=torch.uint8, generator=generator)
    samples = []
    for image in images:
        boxes = torch.tensor(BOXES[image], dtype=torch.float32)
        shapes = {'img_shape': (64, 96), 'ori_shape': (64, 96), 'scale_factor': (1.0, 1.0)}
        sample = DetDataSample(metainfo=shapes)
        sample.gt_instances = InstanceData(bboxes=boxes, labels=torch.arange(len(boxes)))
        samples.append(sample)
    return {'inputs': [pixels[image] for image in images], 'data_samples': samples}


def step_gradient(config: str) -> dict[str, torch.Tensor]:
    """Gradients of the seeded model by parameter name, on this process's share of the images."""
    cfg = Config.fromfile(config)
    rank, processes = int(os.environ.get('RANK', 0)), int(os.environ.get('WORLD_SIZE', 1))
    join_job(cfg, 'pytorch' if processes > 1 else 'none')
    init_default_scope(cfg.default_scope)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    model.train()
    batch = model.data_preprocessor(make_batch(range(rank, len(BOXES), processes)), training=True)
    runnable = MMDistributedDataParallel(model, broadcast_buffers=False) if processes > 1 else model
    loss, _ = model.parse_losses(runnable(**batch, mode='loss'))
    loss.backward()
    return {name: value.grad for name, value in model.named_parameters() if value.grad is not None}


if __name__ == '__main__':
    gradient = step_gradient(sys.argv[1])
    if int(os.environ['RANK']) == 0:
        torch.save(gradient, sys.argv[2])
