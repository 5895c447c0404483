"""A training of seconds with all that a resume must carry over; also a program, to be killed.

    python small_training.py WORK_DIR [--resume] [--slow-saving SECONDS] [--kill-in-saving MOMENT]
        [--send SIGNAL ITERATION RANK] [--set NAME=VALUE …]

Images of noise go through random transforms in workers; the model has dropout, BatchNorm and averaged weights; AdamW,
two schedulers, and gradients accumulated over two of the five iterations of an epoch.
"""

import argparse
import os
import random
import sys
import time
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config, DictAction
from mmengine.dataset import Compose
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, METRICS, MODELS, init_default_scope
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import ConcatDataset, Dataset

from sparse_rcnn_ext.engine.config.launch import join_job
from tests.durability.slow_saving import slow_saving

OURS = dict(
    checkpoint=dict(type='sparse_rcnn_ext.AtomicCheckpointHook'),
    exact_resume=dict(type='sparse_rcnn_ext.ExactResumeHook'),
    resume_changes=dict(type='sparse_rcnn_ext.ResumeChangesHook'),
    stop_signal=dict(type='sparse_rcnn_ext.StopSignalHook'),
)
STACK = dict(checkpoint=dict(type='CheckpointHook'))


@DATASETS.register_module(force=True)
class NoiseImages(Dataset):
    """20 images, changed at random by all three generators; ``seconds`` is what loading one takes.

    As in a data set of mmengine, ``pipeline`` is what they go through at last: here nothing, unless a hook sets it.
    """

    metainfo = dict(classes=('noise',))

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.pipeline = Compose([])
        self.images = torch.randn(20, 8, generator=torch.Generator().manual_seed(3))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict:
        time.sleep(self.seconds)
        image = self.images[index] + torch.randn(8) * 0.1
        if random.random() < 0.5:
            image = image.flip(0)
        return self.pipeline(dict(inputs=image * float(np.random.uniform(0.5, 1.5))))

    def get_data_info(self, index: int) -> dict:
        """Every third is higher than wide."""
        return dict(width=2, height=1 + 2 * (index % 3 == 0))


@DATASETS.register_module(force=True)
class TwoSources(ConcatDataset):
    """The images, and once more the first six of them, as those with and without labels are joined."""

    metainfo = NoiseImages.metainfo

    def __init__(self, **settings) -> None:
        more = NoiseImages(**settings)
        more.images = more.images[:6]
        super().__init__([NoiseImages(**settings), more])
        self.pipeline = Compose([])

    def get_dataset_source(self, index: int) -> int:
        return int(index >= self.cumulative_sizes[0])

    def get_data_info(self, index: int) -> dict:
        return self.datasets[0].get_data_info(index)


@MODELS.register_module(force=True)
class NoiseModel(BaseModel):
    """Predicts the mean of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.Dropout(0.3), nn.Linear(16, 1))

    def forward(self, inputs: list, mode: str = 'tensor') -> dict | list:
        images = torch.stack(inputs)
        predicted = self.layers(images)
        if mode == 'loss':
            return dict(loss=(predicted[:, 0] - images.mean(1)).square().mean())
        return [predicted]


@METRICS.register_module(force=True)
class Steady(BaseMetric):
    """Draws numbers too, as a metric may."""

    default_prefix = 'toy'

    def process(self, data_batch: dict, data_samples: list) -> None:
        self.results.append(float(data_samples[0].mean()) + random.random())

    def compute_metrics(self, results: list) -> dict:
        return dict(score=float(np.mean(results)))


def make_runner(
    work_dir: Path,
    hooks: dict = OURS,
    resume: bool = False,
    load_from: str | None = None,
    batch_size: int = 4,
    workers: int = 0,
    epochs: int = 4,
    iterations: int | None = None,
    seconds: float = 0.0,
    rate: float = 0.01,
    milestones: tuple[int, ...] = (2, 3),
    accumulated: int = 2,
    interval: int = 1,
    within: bool = False,
    keep: int = -1,
    save_best: str | None = None,
    validate: bool = False,
    seed: int | None = 5,
    sampler: str = 'DefaultSampler',
    schedulers: list[dict] | None = None,
    job: Config | None = None,
) -> Runner:
    """A Runner that saves every ``interval`` epochs, or iterations, with ``within`` or an iteration-based training."""
    by_epoch = iterations is None
    hooks = {name: dict(hook) for name, hook in hooks.items()}
    by_iteration = within or not by_epoch
    hooks['checkpoint'].update(
        interval=interval, by_epoch=not by_iteration, max_keep_ckpts=keep, save_best=save_best, rule='greater'
    )
    loader = dict(
        batch_size=batch_size,
        num_workers=workers,
        persistent_workers=workers > 0,
        dataset=dict(type='NoiseImages', seconds=seconds),
        sampler=dict(type=sampler, shuffle=True),
    )
    if 'MultiData' in sampler:
        loader['dataset'].update(type='TwoSources')
        loader['sampler'] = dict(type=sampler, dataset_ratio=[1, 1])
        loader['batch_sampler'] = dict(type='mmdet.MultiDataAspectRatioBatchSampler', num_datasets=2)
    if 'MultiSource' in sampler:
        loader['dataset'].update(type='TwoSources')
        loader['sampler'].update(batch_size=batch_size, source_ratio=[3, 1])
    validation = dict(
        val_dataloader=dict(loader, sampler=dict(type='DefaultSampler', shuffle=False)),
        val_cfg=dict(),
        val_evaluator=dict(type='Steady'),
    )
    length = dict(max_epochs=epochs) if by_epoch else dict(max_iters=iterations, val_interval=5)
    return Runner(
        dict(type='NoiseModel'),
        str(work_dir),
        train_dataloader=loader,
        train_cfg=dict(by_epoch=by_epoch, **length),
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=rate), accumulative_counts=accumulated),
        param_scheduler=schedulers
        or [
            dict(type='LinearLR', start_factor=0.1, begin=0, end=7, by_epoch=False),
            dict(type='MultiStepLR', milestones=list(milestones), by_epoch=by_epoch),
        ],
        default_hooks=dict(hooks, logger=dict(type='LoggerHook', interval=1)),
        custom_hooks=[dict(type='EMAHook')],
        randomness=dict(seed=seed),
        resume=resume,
        load_from=load_from,
        launcher=job.launcher if job else 'none',
        default_scope='mmengine',
        experiment_name=f'{Path(work_dir).name}-{time.time_ns()}',
        cfg=job,
        **(validation if validate else {}),
    )


def train(runner: Runner) -> None:
    """Train, and end the workers at once: collected as garbage, they take five seconds each."""
    try:
        runner.train()
    finally:
        loop = runner.train_loop
        for iterator in (loop.dataloader._iterator, getattr(loop, 'dataloader_iterator', None)):
            iterator = getattr(iterator, '_iterator', iterator)
            if hasattr(iterator, '_shutdown_workers'):
                iterator._shutdown_workers()


class SendSignal(Hook):
    """Sends one process a signal within an iteration, the first time that it is started."""

    def __init__(self, number: int, iteration: int, rank: int) -> None:
        self.number, self.iteration, self.rank = number, iteration, rank

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: object = None) -> None:
        first_start = os.environ.get('TORCHELASTIC_RESTART_COUNT', '0') == '0'
        if first_start and runner.iter == self.iteration and runner.rank == self.rank:
            os.kill(os.getpid(), self.number)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument('work_dir', type=Path)
    parser.add_argument('--resume', action='store_true')
    parser.add_argument('--stack', action='store_true', help="mmengine's hooks alone")
    parser.add_argument('--slow-saving', type=float, default=0.0)
    parser.add_argument('--kill-in-saving', type=int, metavar='MOMENT')
    parser.add_argument('--send', type=int, nargs=3, metavar=('SIGNAL', 'ITERATION', 'RANK'))
    parser.add_argument('--set', nargs='*', action=DictAction, default={})
    args = parser.parse_args()
    args.work_dir.with_name(f'{args.work_dir.name}.pid').write_text(str(os.getpid()))
    torch.set_num_threads(1)
    init_default_scope('mmengine')
    if args.slow_saving or args.kill_in_saving:
        slow_saving(args.slow_saving, args.kill_in_saving)
    job = Config()
    join_job(job, 'pytorch' if 'RANK' in os.environ else 'none')
    hooks = STACK if args.stack else OURS
    runner = make_runner(args.work_dir, hooks, resume=args.resume, job=job, **args.set)
    if args.send:
        runner.register_hook(SendSignal(*args.send))
    runner.train()


if __name__ == '__main__':
    sys.exit(main())
