"""The 640-pixel recipe with its knobs turned, and the smallest thing that a Runner trains with it."""

import time
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from torch.utils.data import DataLoader

from sparse_rcnn_ext.engine.config.run_config import load_config

RECIPE = Path(__file__).resolve().parents[2] / 'configs/sparse_rcnn/sparse-rcnn_r50_fpn_128-proposals_640-3x_coco.py'


def turn(**knobs: object) -> Config:
    """The recipe under ``--cfg-options knob=value …``."""
    return load_config(str(RECIPE), knobs, None)


class OneWeight(BaseModel):
    """Its weight falls by the learning rate each step of plain SGD; a validation records it."""

    def __init__(self, start: float = 1.0) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.full((1,), start, dtype=torch.float64))
        self.register_buffer('statistic', torch.zeros(1, dtype=torch.float64))
        self.validated = []

    def forward(self, inputs, data_samples=None, mode='tensor'):
        if mode == 'predict':
            self.validated.append(self.weight.item())
            return [BaseDataElement()]
        self.statistic += 1
        return {'loss': self.weight.sum()}


class ScriptedMAP(BaseMetric):
    """Says that the validations came out as ``values``."""

    default_prefix = 'coco'

    def __init__(self, values: list[float]) -> None:
        super().__init__()
        self.values = iter(values)

    def process(self, data_batch, data_samples) -> None:
        self.results.append(0)

    def compute_metrics(self, results) -> dict:
        return {'bbox_mAP': next(self.values)}


class Record(Hook):
    """Learning rates before, and raw and averaged weights after each iteration."""

    priority = 'LOW'  # after EMAHook

    def __init__(self) -> None:
        self.rates, self.weights, self.averages = [], [], []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.rates.append(runner.optim_wrapper.get_lr()['lr'][0])

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.weights.append(runner.model.weight.item())
        for hook in runner.hooks:
            if hasattr(hook, 'ema_model'):
                self.averages.append(hook.ema_model.module.weight.item())


def loader(length: int) -> DataLoader:
    return DataLoader([{'inputs': torch.zeros(1)}] * length, collate_fn=pseudo_collate)


def train_one_weight(cfg: Config, folder: Path, epoch_length: int, **changes) -> tuple[Runner, Record]:
    """Train a :class:`OneWeight` with the recipe's optimisation; ``changes`` are arguments of the Runner."""
    recorder = Record()
    settings = {
        'train_cfg': cfg.train_cfg,
        'optim_wrapper': cfg.optim_wrapper,
        'param_scheduler': cfg.param_scheduler,
        'default_hooks': {'checkpoint': None, 'logger': None},
        'custom_hooks': [recorder],
        'default_scope': 'mmdet',
        'log_level': 'ERROR',
        # Two Runners of one name and second would share mmengine's logger and message hub.
        'experiment_name': f'{folder.name}-{time.time_ns()}',
    } | changes
    runner = Runner(OneWeight(), str(folder), loader(epoch_length), **settings)
    runner.train()
    return runner, recorder
