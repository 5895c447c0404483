"""A training that goes on from any of its checkpoints ends as it ended without a stop, bit for bit."""

import os
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook

from sparse_rcnn_ext.engine.checkpoints.resuming import RUN_STATE
from tests.durability.compare import differences, load
from tests.durability.small_training import OURS, STACK, make_runner
from tests.durability.small_training import train as train_runner

EPOCHS = dict(epochs=3)
# Saved after 1, 2, … iterations of an epoch of 5, also between the two whose gradients are added up.
WITHIN = dict(epochs=3, within=True, interval=4)
ITERATIONS = dict(iterations=12, interval=5, sampler='InfiniteSampler')
SOURCES = dict(ITERATIONS, sampler='mmdet.MultiSourceSampler')


pytestmark = pytest.mark.usefixtures('mmengine_scope_and_one_thread')


def number(path: Path) -> int:
    return int(path.stem.rpartition('_')[2])


def train(folder: Path, **settings) -> list[Path]:
    """The checkpoints of a training, the last one last."""
    train_runner(make_runner(folder, **settings))
    return sorted((path for path in folder.glob('*_*.pth') if 'best' not in path.name), key=number)


@pytest.mark.parametrize('workers', [0, 2])
@pytest.mark.parametrize(
    'settings', [EPOCHS, WITHIN, ITERATIONS, SOURCES], ids=['epochs', 'within an epoch', 'iterations', 'two sources']
)
def test_goes_on_as_if_never_stopped(settings, workers, tmp_path):
    settings = settings | dict(workers=workers)
    *earlier, last = train(tmp_path / 'whole', **settings)
    assert len(earlier) >= 2
    for checkpoint in earlier:
        folder = tmp_path / checkpoint.stem
        again = train(folder, resume=True, load_from=str(checkpoint), **settings)
        assert again[-1].name == last.name
        assert differences(last, again[-1]) == []
    # Else all of this proves nothing.
    assert differences(last, earlier[-1]) != []


def test_mmengine_alone_does_not(tmp_path):
    *earlier, last = train(tmp_path / 'whole', hooks=STACK, **EPOCHS)
    again = train(tmp_path / 'again', hooks=STACK, resume=True, load_from=str(earlier[0]), **EPOCHS)
    assert differences(last, again[-1]) != []


def test_a_sampler_of_two_sources_whose_seed_nobody_set(tmp_path):
    """Its iterators are made anew, from the seed of the checkpoint."""
    settings = SOURCES | dict(seed=None)
    *earlier, last = train(tmp_path / 'whole', **settings)
    again = train(tmp_path / 'again', resume=True, load_from=str(earlier[0]), **settings)
    assert differences(last, again[-1]) == []


def test_a_sampler_that_draws_numbers_itself_goes_on(tmp_path):
    """Though not as if never stopped."""
    settings = ITERATIONS | dict(sampler='mmdet.GroupMultiSourceSampler')
    *earlier, last = train(tmp_path / 'whole', **settings)
    again = train(tmp_path / 'again', resume=True, load_from=str(earlier[0]), **settings)
    assert again[-1].name == last.name


def test_batches_of_several_data_sets(tmp_path):
    """Each has its own size; mmdet's sampler gives batches of one data set."""
    settings = EPOCHS | dict(sampler='mmdet.MultiDataSampler', batch_size=[2, 3])
    *earlier, last = train(tmp_path / 'whole', **settings)
    assert load(last)[RUN_STATE]['batch']['images'] == 2.5
    again = train(tmp_path / 'again', resume=True, load_from=str(earlier[0]), **settings)
    assert differences(last, again[-1]) == []


def test_number_of_workers_changes_nothing(tmp_path):
    one, other = (train(tmp_path / str(workers), workers=workers, epochs=1)[-1] for workers in (0, 2))
    assert differences(one, other) == []


def test_seed_that_nobody_set(tmp_path):
    """mmengine restores its value, but not in the sampler, which was built before."""
    *earlier, last = train(tmp_path / 'whole', seed=None, **EPOCHS)
    again = train(tmp_path / 'again', seed=None, resume=True, load_from=str(earlier[0]), **EPOCHS)
    assert differences(last, again[-1]) == []


def test_other_seeds_are_other_trainings(tmp_path):
    one, other = (train(tmp_path / str(seed), seed=seed, epochs=1)[-1] for seed in (5, 6))
    assert differences(one, other) != []


def test_validation_draws_numbers_of_its_own(tmp_path):
    one, other = (train(tmp_path / str(value), validate=value, epochs=2)[-1] for value in (True, False))
    assert differences(one, other) == []


def test_every_image_is_seen_once_an_epoch_after_a_stop_within_it(tmp_path):
    seen = []

    class Watch(Hook):
        def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
            seen.append((runner.epoch, runner.iter))

    (first, *_) = train(tmp_path / 'whole', epochs=2, within=True, interval=3)
    runner = make_runner(tmp_path / 'again', epochs=2, within=True, resume=True, load_from=str(first))
    runner.register_hook(Watch())
    runner.train()
    # mmengine starts the epoch anew, and ends with 13 iterations of 10.
    assert seen == [(0, 3), (0, 4), *((1, step) for step in range(5, 10))]
    assert runner.iter == 10


class Drawing(Hook):
    """Draws a number at the start of each epoch, outside of what is seeded."""

    def __init__(self) -> None:
        self.drawn = []

    def before_train_epoch(self, runner) -> None:
        self.drawn.append(torch.rand(1).item())


def test_states_of_random_numbers_are_restored(tmp_path):
    drawings = []
    for settings in ({}, dict(resume=True, load_from=str(tmp_path / 'run/epoch_1.pth'))):
        runner = make_runner(tmp_path / 'run', epochs=2, **settings)
        drawings.append(Drawing())
        runner.register_hook(drawings[-1])
        runner.train()
    assert drawings[1].drawn == drawings[0].drawn[1:]


def test_checkpoint_of_mmengine_is_resumed(tmp_path):
    first, _ = train(tmp_path / 'stack', hooks=STACK, epochs=2)
    assert RUN_STATE not in load(first)
    again = train(tmp_path / 'ours', resume=True, load_from=str(first), epochs=2)
    assert load(again[-1])['meta']['iter'] == 10


def test_checkpoint_loads_in_safe_mode(tmp_path, monkeypatch):
    monkeypatch.setitem(os.environ, 'TORCHELASTIC_RUN_ID', 'a job')
    path, _ = train(tmp_path / 'run', epochs=2)
    state = torch.load(path, weights_only=True)[RUN_STATE]
    assert state['batch'] == dict(processes=1, images=4, accumulated=2)
    assert state['job'] == 'a job' and state['sampler_seed'] == 5 and len(state['random_states']) == 1
    # Five iterations, a step after every second.
    assert state['gradients'].keys() == dict(make_runner(tmp_path / 'x', hooks=OURS).model.named_parameters()).keys()
