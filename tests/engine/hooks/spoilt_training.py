"""A training of 8 iterations, 4 an epoch, that can be spoilt in one of them. Also two processes, as a script."""

import os
import sys
import time
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

if __name__ == '__main__':
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from sparse_rcnn_ext.engine.config.arguments import exit_on_user_error
from sparse_rcnn_ext.engine.config.launch import join_job
from sparse_rcnn_ext.engine.hooks import AtomicCheckpointHook, FiniteLossHook

ITERATIONS = 8
PER_EPOCH = 4
NAN, INF = float('nan'), float('inf')


class _InfiniteGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, value: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        return grad * INF


class Spoilt(BaseModel):
    """Two stages, whose weights learn from the images.

    Args:
        at: The iterations, from 1, that are spoilt.
        how: ``'gradient'`` makes that of stage 1 infinite; a number becomes the box loss of stage 1.
    """

    def __init__(self, at: tuple[int, ...] = (), how: str | float = NAN) -> None:
        super().__init__()
        self.bbox_head = nn.ModuleList([nn.Linear(3, 2), nn.Linear(3, 2)])
        self.at, self.how, self.count = at, how, 0

    def forward(self, inputs: list[Tensor], data_samples: list, mode: str = 'tensor') -> dict[str, Tensor]:
        self.count += 1
        pixels = torch.stack(inputs)
        cls_0, box_0 = self.bbox_head[0](pixels).square().mean(0)
        stage_1 = self.bbox_head[1](pixels)
        if self.count in self.at and self.how == 'gradient':
            stage_1 = _InfiniteGradient.apply(stage_1)
        cls_1, box_1 = stage_1.square().mean(0)
        if self.count in self.at and self.how != 'gradient':
            box_1 = box_1 * self.how
        # As in a batch without a single right class.
        accuracy = torch.tensor(NAN)
        return {
            's0.loss_cls': cls_0,
            's0.loss_bbox': box_0,
            's0.pos_acc': accuracy,
            's1.loss_cls': cls_1,
            's1.loss_bbox': box_1,
        }


class Images(Dataset):
    """Two for each iteration of an epoch; the path of the third is ``images/2.jpg``."""

    def __len__(self) -> int:
        return 2 * PER_EPOCH

    def __getitem__(self, index: int) -> dict:
        from mmdet.structures import DetDataSample  # after sparse_rcnn_ext
        from mmdet.structures.bbox import HorizontalBoxes

        sample = DetDataSample(metainfo=dict(img_path=f'images/{index}.jpg', ori_shape=(6, 9)))
        boxes = HorizontalBoxes(torch.tensor([[0.0, 1, 2, index + 3]]))
        sample.gt_instances = InstanceData(bboxes=boxes, labels=torch.tensor([index]))
        return dict(inputs=torch.tensor([1.0, index, -2]), data_samples=sample)


def make_runner(
    folder: Path,
    model: BaseModel,
    guard: bool = True,
    optim_wrapper: dict | OptimWrapper | None = None,
    **settings: object,
) -> Runner:
    """With our guard and our checkpoints, or as mmengine is."""
    if not isinstance(optim_wrapper, OptimWrapper):
        optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=0.01)) | (optim_wrapper or {})
    defaults = dict(
        train_dataloader=DataLoader(Images(), batch_size=2, collate_fn=pseudo_collate),
        train_cfg=dict(by_epoch=True, max_epochs=ITERATIONS // PER_EPOCH),
        optim_wrapper=optim_wrapper,
        default_hooks=dict(logger=None, checkpoint=AtomicCheckpointHook(interval=1)) if guard else dict(logger=None),
        custom_hooks=[FiniteLossHook()] if guard else [],
        default_scope='mmdet',
        # Two Runners of one name and second would share mmengine's logger and message hub.
        experiment_name=f'{folder.name}-{time.time_ns()}',
        randomness=dict(seed=0),
    )
    return Runner(model, str(folder), **(defaults | settings))


def weights(model: nn.Module) -> Tensor:
    return torch.cat([weight.detach().flatten() for weight in model.parameters()])


if __name__ == '__main__':
    cfg = Config(dict(model=None))
    join_job(cfg, 'pytorch')
    torch.manual_seed(0)
    with exit_on_user_error():
        make_runner(
            Path(sys.argv[1]),
            Spoilt(at=(6,) if int(os.environ['RANK']) == 1 else ()),
            launcher='pytorch',
            env_cfg=cfg.env_cfg,
            cfg=cfg,
        ).train()
