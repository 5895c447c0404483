"""Hours of work in minutes: memory stays level, nothing is left over, and a dead worker is no end.

    python -m tests.durability.soak [--iterations 2000] [--images 5000] [--folder FOLDER]

Trains a small model with two workers and an evaluation every tenth of the iterations, predicts, then kills a worker of
``tools/train.py`` and resumes. Prints a table; exit code 1 where a limit is passed.
"""

import argparse
import gc
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from multiprocessing import active_children
from pathlib import Path

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from tqdm import tqdm

from sparse_rcnn_ext.prediction.predictor import Predictor
from tests.durability.memory_watch import Figure, children_of, floors, memory_of, open_files, slope, table
from tests.durability.shapes_training import REPO, shapes_config

MB = 2**20
GROWTH = 1.0
"""MB for each thousand iterations or images."""

EVERY = 10
"""Iterations or images from one sample to the next."""

PATIENCE = 30.0
"""Seconds that a worker may take to end."""


class Samples:
    """The memory of this process and of its workers."""

    def __init__(self) -> None:
        self.counts: list[int] = []
        self.sizes: dict[str, list[int]] = {}

    def take(self, count: int) -> None:
        """Sample now, after ``count`` iterations or images."""
        here = os.getpid()
        workers = [worker.pid for worker in active_children()]
        now = {'main process': memory_of(here)}
        if workers:
            now['workers'] = sum(map(memory_of, workers))
        self.counts.append(count)
        for name, size in now.items():
            # The first samples may be of a time without workers.
            self.sizes.setdefault(name, []).append(size)

    def figures(self, what: str, every: int) -> list[Figure]:
        """How much the floor of each grows, from window to window, and in the end its size, which has no limit.

        Args:
            what: Was done.
            every: Iterations or images of a window.
        """
        return [
            Figure(
                f'{what}: {name}, {sizes[-1] / MB:.0f} MB at the end',
                1000 * slope(*floors(self.counts[-len(sizes) :], sizes, every)) / MB,
                GROWTH,
                'MB per 1,000',
            )
            for name, sizes in self.sizes.items()
        ]


class Watch(Hook):
    """Samples memory, and shows how far the training is."""

    priority = 'LOWEST'

    def __init__(self, iterations: int) -> None:
        self.samples = Samples()
        self.progress = tqdm(total=iterations, desc='training', unit='iteration', mininterval=2)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: object = None, outputs: object = None):
        """Count it."""
        self.progress.update()
        if (runner.iter + 1) % EVERY == 0:
            self.samples.take(runner.iter + 1)


def evaluation_interval(iterations: int) -> int:
    """A training of so many saves and evaluates ten times."""
    return max(iterations // 10, 1)


def train(cfg: Config, folder: Path, iterations: int) -> tuple[Samples, Counter[str]]:
    """Train, and end all that belongs to it; the memory meanwhile, and what is left open."""
    cfg = cfg.copy()
    interval = evaluation_interval(iterations)
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=iterations, val_interval=interval)
    cfg.default_hooks.checkpoint.update(interval=interval)
    cfg.update(work_dir=str(folder), experiment_name=folder.name)
    watch = Watch(iterations)
    runner = Runner.from_cfg(cfg)
    runner.register_hook(watch)
    runner.train()
    watch.progress.close()
    del runner, watch.progress
    gc.collect()
    for worker in active_children():
        worker.join(PATIENCE)
    left = open_files()
    # mmengine's logger lives as long as the process.
    return watch.samples, Counter({name: count for name, count in left.items() if not name.endswith('.log')})


def predict(cfg: Config, checkpoint: Path, pictures: Sequence[Path], count: int) -> Samples:
    """Predict for ``count`` images, one at a time."""
    predictor, samples = Predictor(cfg, str(checkpoint), 'cpu'), Samples()
    for number in tqdm(range(1, count + 1), desc='predicting', unit='image', mininterval=2):
        predictor.predict([predictor.read(pictures[number % len(pictures)])])
        if number % EVERY == 0:
            samples.take(number)
    return samples


def lose_worker(config: Path, work_dir: Path) -> list[Figure]:
    """Kill a worker of ``tools/train.py`` once there is a checkpoint, and resume."""
    command = [sys.executable, REPO / 'tools/train.py', config, '--work-dir', work_dir]
    log = work_dir.with_name('lost_worker.txt')
    with log.open('w') as out:
        process = subprocess.Popen([*map(str, command)], stdout=out, stderr=subprocess.STDOUT)
        with tqdm(desc='losing a worker', unit='s') as progress:
            while not (work_dir / 'last_checkpoint').is_file() and process.poll() is None:
                time.sleep(1)
                progress.update()
        workers = children_of(process.pid) if process.poll() is None else []
        if workers:
            os.kill(workers[0], signal.SIGKILL)
        code = process.wait()
    printed = log.read_text()
    explained = code == 1 and 'error: a worker of the data loader died' in printed and 'Traceback' not in printed
    options = ['--resume', '--cfg-options', 'train_cfg.max_epochs=3']
    resumed = subprocess.run([*map(str, command), *options], capture_output=True, text=True)
    went_on = resumed.returncode == 0 and 'resumed epoch: ' in resumed.stdout + resumed.stderr
    if not (explained and went_on):
        print(printed[-2000:], resumed.stdout[-2000:], resumed.stderr[-2000:], sep='\n')
    return [
        Figure('a killed worker: training without a clear error', not explained, 0, 'of 1'),
        Figure('a killed worker: resumed in vain', not went_on, 0, 'of 1'),
    ]


def small_config(folder: Path) -> Config:
    """The plain shapes model on 24 small images, with two workers."""
    tool = REPO / 'tools/dataset/make_shapes_coco.py'
    options = ['--num-train=24', '--num-val=2', '--size=160', '--objects', '2', '3']
    subprocess.run([sys.executable, tool, folder / 'data', *options], check=True)
    cfg = shapes_config(folder / 'data', size=96, model__rpn_head__num_proposals=20, train_dataloader__batch_size=2)
    for split in ('train', 'val'):
        cfg[f'{split}_dataloader'].update(num_workers=2, persistent_workers=True)
    return cfg


def soak(folder: Path, iterations: int, images: int) -> list[Figure]:
    """All of it, in ``folder``."""
    cfg = small_config(folder)
    by_epoch = cfg.copy()
    by_epoch.train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=1000, val_interval=1000)
    by_epoch.param_scheduler = []
    by_epoch.dump(folder / 'by_epoch.py')
    cfg.param_scheduler = [dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=10)]
    cfg.train_dataloader.sampler = dict(type='InfiniteSampler', shuffle=True)
    cfg.log_processor.by_epoch = False
    cfg.default_hooks.checkpoint.by_epoch = False
    cfg.log_level = 'WARNING'
    here = os.getpid()
    # What is opened once for all trainings of a process.
    _, before = train(cfg, folder / 'first', 2)
    processes = len(children_of(here))
    samples, after = train(cfg, folder / 'run', iterations)
    if after - before:
        print(f'left open: {dict(after - before)}')
    figures = samples.figures('training', evaluation_interval(iterations))
    figures.append(Figure('training: descriptors left over', (after - before).total(), 0, ''))
    figures.append(Figure('training: processes left over', len(children_of(here)) - processes, 0, ''))
    (checkpoint,) = (folder / 'run').glob('iter_*.pth')
    pictures = sorted((folder / 'data/train').glob('*.jpg'))
    figures += predict(cfg, checkpoint, pictures, images).figures('prediction', max(images // 10, EVERY))
    return figures + lose_worker(folder / 'by_epoch.py', folder / 'lost')


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--iterations', type=int, default=2000, help='of the training (default: 2000)')
    parser.add_argument('--images', type=int, default=5000, help='to predict (default: 5000)')
    parser.add_argument('--folder', type=Path, help='where runs go (default: where temporary files go)')
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        figures = soak(Path(folder), args.iterations, args.images)
    print(table(figures))
    return int(not all(figure.is_met for figure in figures))


if __name__ == '__main__':
    sys.exit(main())
