"""The smallest run that has whatever mmengine stores in a checkpoint."""

from itertools import count
from pathlib import Path

import numpy as np
import torch
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.hooks import CheckpointHook, EMAHook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

_NUMBERS = count()


class Line(BaseModel):
    """The smallest model that a Runner trains."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 1)

    def forward(self, inputs: torch.Tensor, mode: str = 'tensor') -> dict | list:
        output = self.linear(inputs)
        return {'loss': output.square().mean()} if mode == 'loss' else [output]


class NumpyScores(BaseMetric):
    """Returns NumPy numbers, as COCO's evaluation does."""

    default_prefix = 'toy'

    def process(self, data_batch: dict, data_samples: list) -> None:
        self.results.append(len(data_samples))

    def compute_metrics(self, results: list) -> dict:
        return {'ap': np.float64(0.5), 'ap_small': np.float32(0.25), 'count': np.int64(sum(results))}


def make_runner(work_dir: Path, max_epochs: int, load_from: Path | None = None, resume: bool = True) -> Runner:
    """A Runner with whatever mmengine stores: message hub, optimizer, schedulers, averaged weights, best score."""
    data = [{'inputs': torch.tensor([1.0, 2.0]) * i} for i in range(4)]
    return Runner(
        Line(),
        str(work_dir),
        train_dataloader=DataLoader(data, batch_size=2),
        train_cfg=dict(by_epoch=True, max_epochs=max_epochs, val_interval=1),
        val_dataloader=DataLoader(data, batch_size=2),
        val_cfg={},
        val_evaluator=Evaluator([NumpyScores()]),
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=0.01)),
        param_scheduler=[
            dict(type='LinearLR', start_factor=0.1, begin=0, end=2, by_epoch=False),
            dict(type='MultiStepLR', milestones=[1], by_epoch=True),
        ],
        default_hooks=dict(checkpoint=CheckpointHook(interval=1, save_best='toy/ap', rule='greater')),
        custom_hooks=[EMAHook()],
        load_from=str(load_from) if load_from else None,
        resume=resume and load_from is not None,
        default_scope='mmengine',
        experiment_name=f'run-{next(_NUMBERS)}',  # two of one name and second would share mmengine's state
    )
