"""A step that saves waits for no disk, and whoever needs the checkpoint does."""

import os
import threading
from pathlib import Path

import pytest
from mmengine.hooks import Hook
from mmengine.registry import init_default_scope

from sparse_rcnn_ext.engine.checkpoints.background_writer import WRITER, BackgroundWriter
from sparse_rcnn_ext.engine.checkpoints.resuming import is_whole
from sparse_rcnn_ext.engine.hooks.atomic_checkpoint import INTERRUPTED
from sparse_rcnn_ext.engine.training.non_finite import last_checkpoint
from sparse_rcnn_ext.errors import UserError
from tests.durability.small_training import OURS, make_runner
from tests.engine.hooks.test_atomic_checkpoint import names
from tests.fork_server import LIMIT


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmengine')


@pytest.fixture
def idle_disk(monkeypatch) -> None:
    """Nothing reaches the disk until somebody waits for it, so that who reads without waiting finds nothing."""
    awaited, fsync, give_up = threading.Event(), os.fsync, BackgroundWriter.give_up

    def wait(descriptor: int) -> None:
        assert awaited.wait(LIMIT)
        fsync(descriptor)

    def work(writer: BackgroundWriter) -> BaseException | None:
        awaited.set()
        try:
            return give_up(writer)
        finally:
            awaited.clear()

    monkeypatch.setattr(os, 'fsync', wait)
    monkeypatch.setattr(BackgroundWriter, 'give_up', work)


class At(Hook):
    """Calls a function at a point of the training, after all other hooks, once when ``iteration`` are done."""

    priority = 'LOWEST'

    def __init__(self, point: str, iteration: int, function) -> None:
        def call(runner, *args, **options) -> None:
            if runner.iter == iteration:
                self.found = function(runner)

        setattr(self, point, call)


def saver_of(runner) -> Hook:
    (saver,) = (hook for hook in runner.hooks if hasattr(hook, 'save_now'))
    return saver


@pytest.mark.usefixtures('idle_disk')
class TestSlowDisk:
    def test_steps_do_not_wait(self, tmp_path):
        """The former checkpoint is what there is until the new one is on the disk."""
        runner = make_runner(tmp_path, epochs=3, keep=1)
        record = tmp_path / 'last_checkpoint'
        first = At('before_train_iter', 9, lambda runner: names(tmp_path))
        second = At('before_train_iter', 14, lambda runner: (names(tmp_path), record.read_text()))
        runner.register_hook(first)
        runner.register_hook(second)
        runner.train()
        assert first.found == {'epoch_1.pth.tmp'}
        assert second.found == ({'epoch_1.pth', 'epoch_2.pth.tmp'}, 'epoch_1.pth')
        assert (names(tmp_path), record.read_text()) == ({'epoch_3.pth'}, 'epoch_3.pth')

    @pytest.mark.parametrize('point', ['after_train_iter', 'after_train_epoch'])
    def test_save_now_is_there(self, tmp_path, point):
        """Also where the regular one is what it names."""
        runner = make_runner(tmp_path, epochs=1)

        def save(runner) -> tuple[bool, str]:
            complete = point == 'after_train_epoch'
            path = saver_of(runner).save_now(runner, int(complete), runner.iter + (not complete))
            return is_whole(Path(path)), (tmp_path / 'last_checkpoint').read_text()

        hook = At(point, 5 if point == 'after_train_epoch' else 2, save)
        runner.register_hook(hook)
        runner.train()
        assert hook.found == (True, 'epoch_1.pth' if point == 'after_train_epoch' else INTERRUPTED)

    def test_wait(self, tmp_path):
        runner = make_runner(tmp_path, epochs=2)
        hook = At('before_train_iter', 5, lambda runner: (saver_of(runner).wait(), names(tmp_path))[1])
        runner.register_hook(hook)
        runner.train()
        assert hook.found == {'epoch_1.pth'}

    def test_last_good_one_of_a_training_that_stops(self, tmp_path):
        runner = make_runner(tmp_path, epochs=2)
        hook = At('before_train_iter', 5, lambda runner: last_checkpoint(runner)[1])
        runner.register_hook(hook)
        runner.train()
        assert hook.found == f'the last good checkpoint is {tmp_path}/epoch_1.pth'

    def test_the_end_of_a_training(self, tmp_path):
        hooks = dict(OURS, checkpoint=dict(OURS['checkpoint'], published_keys=['state_dict']))
        runner = make_runner(tmp_path, hooks=hooks, epochs=1)
        hook = At('after_train', 5, lambda runner: names(tmp_path))
        runner.register_hook(hook)
        runner.train()
        (published,) = hook.found - {'epoch_1.pth'}
        assert published.startswith('epoch_1-') and is_whole(tmp_path / published)

    def test_old_best_is_looked_for(self, tmp_path, monkeypatch):
        """Without a regular one after it."""
        scores = iter([0.1, 0.2, 0.3])
        score = 'tests.durability.small_training.Steady.compute_metrics'
        monkeypatch.setattr(score, lambda *_: dict(score=next(scores)))
        make_runner(tmp_path, epochs=3, interval=9, validate=True, save_best='toy/score').train()
        assert names(tmp_path) == {'epoch_3.pth', 'best_toy_score_epoch_3.pth'}

    def test_a_training_after_one_that_failed(self, tmp_path):
        """In the same process; what that one had left to do is done, and its errors are forgotten."""

        def fail(runner) -> None:
            WRITER.submit(lambda: [].pop())
            raise ArithmeticError

        runner = make_runner(tmp_path, epochs=2)
        runner.register_hook(At('before_train_iter', 5, fail))
        with pytest.raises(ArithmeticError):
            runner.train()
        runner = make_runner(tmp_path, epochs=2, resume=True)
        runner.train()
        assert runner._load_from == str(tmp_path / 'epoch_1.pth')


def test_full_disk_stops_the_next_iteration(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(os, 'fsync', full)
    runner = make_runner(tmp_path, epochs=3)
    runner.register_hook(At('after_train_epoch', 5, lambda runner: WRITER._last.result()))
    with pytest.raises(UserError, match=r'epoch_1\.pth cannot be written'):
        runner.train()
    assert runner.iter == 5
    assert list(tmp_path.glob('*.pth*')) == [] and not (tmp_path / 'last_checkpoint').exists()
