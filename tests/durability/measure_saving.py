"""What saving a checkpoint costs: steps that save by mmengine's hooks, and by a recipe's, take turns.

    python -m tests.durability.measure_saving [--models lite0 r50] [--rounds 12] [--folder FOLDER]

One process, model and folder; each way keeps one checkpoint. mmengine's hooks are its default ones; ours are all of
the recipe, so that looking at the weights and collecting garbage count. The images are small, so that saving is most of
a step. Before a step that saves, everything is on the disk that an earlier one wrote; each is followed by one that
saves nothing, for what saving left to do. Exit code 1 where the median of ours is more than 1.1 × that of mmengine.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.hooks import CheckpointHook, Hook
from mmengine.registry import DATASETS
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from torch.utils.data import Dataset
from tqdm import tqdm

REPO = Path(__file__).resolve().parents[2]
ALLOWED = 1.1
MODELS = dict(lite0='sparse-rcnn_lite0_fpn_shapes.py', r50='sparse-rcnn_r50_fpn_1x_coco.py')
"""Of configs/sparse_rcnn/."""

TURNS = ('mmengine, saves', 'mmengine, the step after', 'ours, saves', 'ours, the step after')
WARM_UP = 2
"""Rounds that are not counted."""

SIDE = 64


@DATASETS.register_module()
class BlankImages(Dataset):
    """Images of one colour with one object each."""

    metainfo = dict(classes=('thing',))

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict:
        shape = (SIDE, SIDE)
        sample = DetDataSample(metainfo=dict(img_shape=shape, ori_shape=shape, scale_factor=(1.0, 1.0)))
        sample.gt_instances = InstanceData(bboxes=torch.tensor([[8.0, 8.0, 40.0, 40.0]]), labels=torch.zeros(1).long())
        return dict(inputs=torch.full((3, *shape), index % 200, dtype=torch.uint8), data_samples=sample)


class Clock(Hook):
    """First and last of the hooks of a turn: seconds of whole steps, and of what comes after the optimizer in them."""

    def __init__(self, progress: tqdm) -> None:
        self.progress = progress
        self.steps: dict[str, list[float]] = defaultdict(list)
        self.saves: dict[str, list[float]] = defaultdict(list)
        self._calls = 0

    def before_train(self, runner: Runner) -> None:
        """Make the hooks of each turn."""
        ours = [hook for hook in runner._hooks if hook is not self]
        theirs = [hook for hook in ours if not type(hook).__module__.startswith('sparse_rcnn_ext.')]
        plain = CheckpointHook(interval=1, by_epoch=False, max_keep_ckpts=1, filename_tmpl='plain_{}.pth')
        plain.before_train(runner)
        self._hooks = dict(mmengine=[*theirs, plain], ours=ours)
        # FiniteLossHook has put its own in their place.
        self._methods = {name: vars(runner.optim_wrapper)[name] for name in ('backward', 'step')}
        self._turns = self._take_turns(runner)
        next(self._turns)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: object = None) -> None:
        """The step begins."""
        self._begun = time.perf_counter()

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: object = None, outputs: object = None):
        """The first call: the optimizer has done its step; the second: the hooks have, too."""
        self._calls += 1
        if self._calls % 2:
            self._stepped = time.perf_counter()
        else:
            next(self._turns)

    def _take_turns(self, runner: Runner) -> Iterator[None]:
        for number in range(self.progress.total):
            for turn in TURNS:
                who, _, what = turn.partition(', ')
                hooks = self._hooks[who]
                if what == 'saves':
                    os.sync()
                else:
                    hooks = [hook for hook in hooks if not isinstance(hook, CheckpointHook)]
                runner._hooks = [self, *hooks, self]
                for name, method in self._methods.items():
                    vars(runner.optim_wrapper).pop(name, None)
                    if who == 'ours':
                        vars(runner.optim_wrapper)[name] = method
                yield
                if number >= WARM_UP:
                    now = time.perf_counter()
                    self.steps[turn].append(now - self._begun)
                    self.saves[turn].append(now - self._stepped)
            self.progress.update()
        # As they were, for the end of the training.
        vars(runner.optim_wrapper).update(self._methods)
        runner._hooks = self._hooks['ours']
        yield


def measure(model: str, rounds: int, folder: Path) -> Clock:
    """Train the model of a recipe from random weights, with tiny images."""
    cfg = Config.fromfile(REPO / 'configs/sparse_rcnn' / MODELS[model])
    backbone = cfg.model.backbone
    backbone.update(dict(pretrained_file=None) if 'pretrained_file' in backbone else dict(init_cfg=None))
    cfg.model.roi_head.bbox_head.num_classes = 1
    hooks = cfg.default_hooks
    hooks.checkpoint.update(interval=1, by_epoch=False, max_keep_ckpts=1)
    hooks.report.enabled = False
    steps = len(TURNS) * (rounds + WARM_UP)
    hooks.logger.interval = 10 * steps
    cfg.train_dataloader = dict(
        batch_size=2,
        dataset=dict(type='mmengine.BlankImages', count=2 * steps),
        sampler=dict(type='DefaultSampler', shuffle=False),
    )
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=steps)
    cfg.update(work_dir=str(folder), log_level='ERROR', experiment_name=f'saving-{model}')
    cfg.visualizer.name = cfg.experiment_name  # that of another model would write into its folder
    cfg.update(val_cfg=None, val_dataloader=None, val_evaluator=None)
    cfg.update(test_cfg=None, test_dataloader=None, test_evaluator=None)
    cfg.param_scheduler = []
    cfg.log_processor.by_epoch = False
    with tqdm(total=rounds + WARM_UP, desc=model, unit='round') as progress:
        clock = Clock(progress)
        runner = Runner.from_cfg(cfg)
        runner.register_hook(clock, priority='LOWEST')
        runner.train()
    return clock


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--models', nargs='+', choices=MODELS, default=list(MODELS))
    parser.add_argument('--rounds', type=int, default=12, help='saves of each way (default: 12)')
    parser.add_argument('--folder', type=Path, help='on the disk to be measured (default: where temporary files go)')
    args = parser.parse_args()
    code = 0
    for model in args.models:
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            clock = measure(model, args.rounds, Path(folder))
            (size,) = {path.stat().st_size for path in Path(folder).glob('iter_*.pth')}
        print(f'{model}: {size / 2**20:.0f} MiB, medians of {args.rounds} in seconds')
        print(f'  {"":26} {"step":>8} {"its hooks":>10}')
        for turn in TURNS:
            print(f'  {turn:26} {_median(clock.steps[turn]):8.3f} {_median(clock.saves[turn]):10.3f}')
        ratio = _median(clock.steps['ours, saves']) / _median(clock.steps['mmengine, saves'])
        code |= ratio > ALLOWED
        print(f'  ours / mmengine: {ratio:.2f}, allowed {ALLOWED}')
    return int(code)


def _median(seconds: list[float]) -> float:
    return statistics.median(seconds)


if __name__ == '__main__':
    sys.exit(main())
