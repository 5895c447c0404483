"""A Runner around a few weights with a detector's names."""

import time
from collections.abc import Sequence
from pathlib import Path

import torch
from mmengine.dataset import pseudo_collate
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from torch import nn
from torch.utils.data import DataLoader, Dataset

LAYERS = [f'roi_head.bbox_head.{stage}.fc_cls' for stage in range(2)]


class SmallDetector(BaseModel):
    """A neck and two stages, whose classifiers start at 7 through ``init_weights``."""

    def __init__(self, num_classes: int, width: int = 4) -> None:
        super().__init__()
        self.neck = nn.Linear(2, width)
        self.roi_head = nn.Module()
        self.roi_head.bbox_head = nn.ModuleList(
            nn.ModuleDict(dict(fc_cls=nn.Linear(width, num_classes), fc_reg=nn.Linear(width, 4))) for _ in LAYERS
        )

    def init_weights(self) -> None:
        for stage in self.roi_head.bbox_head:
            nn.init.constant_(stage['fc_cls'].weight, 7)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        if mode == 'predict':
            return [BaseDataElement()]
        return dict(loss=sum(parameter.sum() for parameter in self.parameters()))


class Names(Dataset):
    """Two samples of a data set with class names."""

    def __init__(self, classes: Sequence[str]) -> None:
        self.metainfo = dict(classes=tuple(classes))

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> dict:
        return dict(inputs=torch.zeros(1))


class NoMetric(BaseMetric):
    default_prefix = 'coco'

    def process(self, data_batch, data_samples) -> None:
        self.results.append(0)

    def compute_metrics(self, results) -> dict:
        return dict(score=1.0)


def make_runner(
    folder: Path,
    hooks: Sequence[Hook | dict],
    model: SmallDetector,
    classes: Sequence[str] = ('cat', 'dog'),
    val_classes: Sequence[str] | None = None,
    rate: float = 0.0,
    **settings: object,
) -> Runner:
    """A Runner that trains for one epoch of two steps, validates, and tests."""

    def load(names: Sequence[str]) -> DataLoader:
        return DataLoader(Names(names), collate_fn=pseudo_collate)

    validation = load(classes if val_classes is None else val_classes)
    defaults = dict(
        train_dataloader=load(classes),
        val_dataloader=validation,
        test_dataloader=validation,
        val_evaluator=[NoMetric()],
        test_evaluator=[NoMetric()],
        train_cfg=dict(by_epoch=True, max_epochs=1),
        val_cfg=dict(),
        test_cfg=dict(),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=rate)),
        default_hooks=dict(logger=None),
        custom_hooks=list(hooks),
        default_scope='mmdet',
        # Two Runners of one name and second would share mmengine's logger and message hub.
        experiment_name=f'{folder.name}-{time.time_ns()}',
    )
    return Runner(model, str(folder), **(defaults | settings))


def save(path: Path, state: dict, **more: object) -> str:
    torch.save(dict(meta={}, state_dict=state) | more, path)
    return str(path)
