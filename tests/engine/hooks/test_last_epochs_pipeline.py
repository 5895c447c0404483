"""The last epochs' images go through the other pipeline, whoever loads them, and however often the training stopped."""

import random
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.dataset import BaseDataset, ClassBalancedDataset, ConcatDataset, RepeatDataset, pseudo_collate
from mmengine.model import BaseModel
from mmengine.registry import init_default_scope
from torch import nn
from torch.utils.data import DataLoader, Dataset

from sparse_rcnn_ext.engine.hooks import LastEpochsPipelineHook
from sparse_rcnn_ext.errors import UserError
from tests.durability.compare import differences
from tests.durability.small_training import OURS
from tests.durability.small_training import make_runner as make_small_runner
from tests.durability.small_training import train as train_runner
from tests.engine.hooks.small_runner import make_runner


def first(sample: dict) -> dict:
    return dict(inputs=torch.tensor([1.0]))


def last(sample: dict) -> dict:
    return dict(inputs=torch.tensor([2.0]))


class Samples(BaseDataset):
    """Two samples of one category."""

    def __init__(self) -> None:
        super().__init__(pipeline=[first], serialize_data=False)

    def load_data_list(self) -> list[dict]:
        return [dict(number=number) for number in range(2)]

    def get_cat_ids(self, idx: int) -> list[int]:
        return [0]


class Watch(BaseModel):
    """Remembers what it is given in each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.seen: list[float] = []

    def forward(self, inputs, data_samples=None, mode='tensor'):
        self.seen += [float(image) for image in inputs]
        return dict(loss=self.weight.sum())


def train(
    folder: Path, share: float, epochs: int, dataset: Dataset | None = None, workers: int = 0, persistent: bool = True
) -> list[float]:
    """What the model was given, with two samples an epoch; ``last`` gives 2."""
    loader = DataLoader(
        dataset or Samples(),
        batch_size=2,
        num_workers=workers,
        persistent_workers=workers > 0 and persistent,
        collate_fn=pseudo_collate,
    )
    model = Watch()
    runner = make_runner(
        folder,
        [LastEpochsPipelineHook(share, [last])],
        model,
        train_dataloader=loader,
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        **dict.fromkeys(('val_dataloader', 'val_cfg', 'val_evaluator')),
        **dict.fromkeys(('test_dataloader', 'test_cfg', 'test_evaluator')),
    )
    train_runner(runner)
    return model.seen


@pytest.mark.parametrize(
    ('share', 'epochs', 'expected'),
    [(0.5, 4, 2), (0.5, 1, 0), (0.25, 6, 2), (0.3, 10, 3), (0.7, 10, 7), (0, 3, 0), (1, 3, 3), (0.1, 3, 0)],
)
def test_share_of_the_epochs(tmp_path, share, epochs, expected):
    seen = train(tmp_path, share, epochs)
    assert seen == [1.0] * 2 * (epochs - expected) + [2.0] * 2 * expected


@pytest.mark.parametrize('persistent', [True, False])
def test_workers(tmp_path, persistent):
    assert train(tmp_path, 0.5, 4, workers=2, persistent=persistent) == [1.0] * 4 + [2.0] * 4


@pytest.mark.parametrize(
    'wrap',
    [
        lambda data: RepeatDataset(data, 2),
        lambda data: ClassBalancedDataset(data, 0.1),
        lambda data: ConcatDataset([data, Samples()]),
        lambda data: torch.utils.data.ConcatDataset([RepeatDataset(data, 2), ConcatDataset([Samples(), Samples()])]),
    ],
)
def test_wrapped_data_sets(tmp_path, wrap):
    dataset = wrap(Samples())
    seen = train(tmp_path, 0.5, 2, dataset)
    assert seen == [1.0] * len(dataset) + [2.0] * len(dataset)


def test_each_data_set_has_a_pipeline_of_its_own(tmp_path):
    """One that keeps images would mix those of both."""
    datasets = [Samples(), Samples()]
    train(tmp_path, 1, 1, ConcatDataset(datasets))
    assert datasets[0].pipeline is not datasets[1].pipeline


def test_says_when(tmp_path):
    train(tmp_path, 0.5, 4)
    log = next(tmp_path.glob('*/*.log')).read_text()
    assert log.count('Epochs 3 to 4 train on images of another pipeline.') == 1


@pytest.mark.parametrize('share', [-0.1, 1.5, float('nan'), '0.5', None, True])
def test_wrong_share(share):
    with pytest.raises(UserError, match=r'^share of LastEpochsPipelineHook is .*: set it to a number from 0 to 1$'):
        LastEpochsPipelineHook(share, [])


def test_needs_epochs(tmp_path):
    hooks = OURS | dict(last_epochs=dict(type='sparse_rcnn_ext.LastEpochsPipelineHook', share=0.5, pipeline=[]))
    runner = make_small_runner(tmp_path, hooks=hooks, iterations=4)
    with pytest.raises(UserError, match=r"needs epochs, .* IterBasedTrainLoop .*: set it to 'EpochBasedTrainLoop'"):
        runner.train()


def test_needs_a_pipeline(tmp_path):
    with pytest.raises(UserError, match=r'finds no pipeline in train_dataloader.dataset.type list: use a data set'):
        train(tmp_path, 0.5, 2, [dict(inputs=torch.zeros(1))])


def with_noise(sample: dict) -> dict:
    """Draws from each generator, as random transforms do."""
    scale = random.uniform(0.5, 1) * float(np.random.uniform(0.5, 1))
    return dict(inputs=sample['inputs'] * scale + torch.randn(8))


NOISY_END = dict(
    last_epochs=dict(type='sparse_rcnn_ext.LastEpochsPipelineHook', share=0.5, pipeline=[with_noise]),
)


def checkpoints(folder: Path, **settings) -> list[Path]:
    init_default_scope('mmengine')
    train_runner(make_small_runner(folder, **settings))
    return sorted(folder.glob('*_*.pth'), key=lambda path: int(path.stem.rpartition('_')[2]))


@pytest.mark.parametrize('workers', [0, 2])
@pytest.mark.parametrize('settings', [dict(), dict(within=True, interval=4)], ids=['epochs', 'within an epoch'])
def test_resumed_training_is_the_same(tmp_path, settings, workers):
    """From before the switch, from between, and from within the last epochs; four epochs of five iterations."""
    settings = dict(settings, hooks=OURS | NOISY_END, epochs=4, workers=workers)
    *earlier, whole = checkpoints(tmp_path / 'whole', **settings)
    assert len(earlier) >= 3
    for path in earlier:
        again = checkpoints(tmp_path / path.stem, resume=True, load_from=str(path), **settings)
        assert again[-1].name == whole.name
        assert differences(whole, again[-1]) == []


def test_only_the_last_epochs_differ(tmp_path):
    """Else the equality above may be that of trainings which never switch."""
    ends = defaultdict(list)
    for hooks in (OURS, OURS | NOISY_END):
        for path in checkpoints(tmp_path / str(len(hooks)), hooks=hooks, epochs=4):
            ends[path.name].append(path)
    equal = {name: differences(*paths) == [] for name, paths in ends.items()}
    assert equal == {'epoch_1.pth': True, 'epoch_2.pth': True, 'epoch_3.pth': False, 'epoch_4.pth': False}
