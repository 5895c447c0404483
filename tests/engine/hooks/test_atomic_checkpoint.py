"""At any moment of saving there is a whole checkpoint, and the right ones stay."""

import os
import shutil
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.registry import init_default_scope

from sparse_rcnn_ext.engine.checkpoints.resuming import find_last_checkpoint, is_whole
from sparse_rcnn_ext.engine.hooks.atomic_checkpoint import INTERRUPTED
from sparse_rcnn_ext.errors import UserError
from tests.durability.compare import load
from tests.durability.small_training import STACK, make_runner


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmengine')


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.glob('*.pth*')}


class Dies(BaseException):
    """Nothing catches it, as nothing catches SIGKILL."""


def die_at(monkeypatch, moment: str, count: int) -> None:
    """Die at the ``count``-th time that a file is half written, about to be renamed, or about to be deleted."""
    calls = []
    owner, name = {
        'written': (os, 'fsync'),
        'renamed': (Path, 'replace'),
        'removed': (os, 'remove'),
    }[moment]
    original = getattr(owner, name)

    def call(*args):
        calls.append(args)
        if len(calls) == count:
            raise Dies
        return original(*args)

    monkeypatch.setattr(owner, name, call)


@pytest.mark.parametrize('keep', [1, 2])
@pytest.mark.parametrize('moment', ['written', 'renamed', 'removed'])
@pytest.mark.parametrize('count', range(1, 7))
def test_dying_while_saving_loses_nothing(tmp_path, monkeypatch, moment, count, keep):
    """Also not where a single one is kept; the next start ends with what an uninterrupted one ends with."""
    died = False
    with monkeypatch.context() as patch:
        die_at(patch, moment, count)
        try:
            make_runner(tmp_path, epochs=4, keep=keep).train()
        except Dies:
            died = True
    assert died == (moment != 'removed' or count <= 4 - keep)
    whole = [path for path in tmp_path.glob('*.pth') if is_whole(path)]
    assert len(whole) == len(list(tmp_path.glob('*.pth')))
    # mmengine deletes the old one first, and truncates what the record names.
    found = find_last_checkpoint(tmp_path)
    assert (found is None) == (not whole)
    if died and found:
        record = tmp_path / 'last_checkpoint'
        assert not record.exists() or (tmp_path / record.read_text()).is_file()
    make_runner(tmp_path, epochs=4, keep=keep, resume=True).train()
    assert names(tmp_path) == {f'epoch_{epoch}.pth' for epoch in range(5 - keep, 5)}


def test_mmengine_alone_loses_the_only_one(tmp_path, monkeypatch):
    def die(*args):
        raise Dies

    make_runner(tmp_path, hooks=STACK, epochs=1, keep=1).train()
    runner = make_runner(tmp_path, hooks=STACK, epochs=2, keep=1, resume=True)
    monkeypatch.setattr(torch, 'save', die)
    with pytest.raises(Dies):
        runner.train()
    assert names(tmp_path) == set()


def test_record_is_relative_and_best_is_kept(tmp_path):
    make_runner(tmp_path, epochs=4, keep=2, validate=True, save_best='toy/score').train()
    assert (tmp_path / 'last_checkpoint').read_text() == 'epoch_4.pth'
    best = names(tmp_path) - {'epoch_3.pth', 'epoch_4.pth'}
    assert len(best) == 1 and best.pop().startswith('best_toy_score_epoch_')
    state = load(tmp_path / 'epoch_4.pth')
    assert {'ema_state_dict', 'optimizer', 'param_schedulers'} <= state.keys()


def test_old_best_goes_after_the_better_one_is_there(tmp_path, monkeypatch):
    removed = []
    remove = os.remove

    def note(path, *args, **options):
        if 'best' in str(path):
            removed.append((Path(path).name, len(list(tmp_path.glob('best*.pth')))))
        remove(path, *args, **options)

    scores = iter([0.1, 0.2, 0.15, 0.3])
    runner = make_runner(tmp_path, epochs=4, validate=True, save_best='toy/score')
    monkeypatch.setattr(os, 'remove', note)
    monkeypatch.setattr('tests.durability.small_training.Steady.compute_metrics', lambda *_: dict(score=next(scores)))
    runner.train()
    assert removed == [('best_toy_score_epoch_1.pth', 2), ('best_toy_score_epoch_2.pth', 2)]
    assert [path.name for path in tmp_path.glob('best*')] == ['best_toy_score_epoch_4.pth']


def test_copy_of_a_run_leaves_the_best_of_the_original(tmp_path, monkeypatch):
    scores = iter([0.1, 0.2])
    monkeypatch.setattr('tests.durability.small_training.Steady.compute_metrics', lambda *_: dict(score=next(scores)))
    settings = dict(validate=True, save_best='toy/score')
    make_runner(tmp_path / 'run', epochs=1, **settings).train()
    shutil.copytree(tmp_path / 'run', tmp_path / 'copy')
    make_runner(tmp_path / 'copy', epochs=2, resume=True, **settings).train()
    assert (tmp_path / 'run/best_toy_score_epoch_1.pth').is_file()
    assert [path.name for path in (tmp_path / 'copy').glob('best*')] == ['best_toy_score_epoch_2.pth']


def test_resumes_from_the_one_before_a_broken_one(tmp_path):
    make_runner(tmp_path, epochs=3).train()
    (tmp_path / 'epoch_3.pth').write_bytes(b'0123456789')
    runner = make_runner(tmp_path, epochs=3, resume=True)
    runner.train()
    assert runner._load_from == str(tmp_path / 'epoch_2.pth')
    assert load(tmp_path / 'epoch_3.pth')['meta']['iter'] == 15


def test_resume_without_a_checkpoint_starts(tmp_path):
    runner = make_runner(tmp_path, epochs=1, resume=True)
    runner.train()
    assert runner._resume is False and runner.iter == 5


def test_restart_by_torchrun_goes_on(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCHELASTIC_RUN_ID', 'old')
    make_runner(tmp_path, epochs=3).train()
    monkeypatch.setenv('TORCHELASTIC_RUN_ID', 'new')
    monkeypatch.setenv('TORCHELASTIC_RESTART_COUNT', '1')
    # A restart before the first save: what an older training left there is not its own.
    runner = make_runner(tmp_path, epochs=1)
    runner.train()
    assert runner._resume is False and runner.iter == 5
    # Without --resume, and whatever --resume named.
    for settings in ({}, dict(resume=True, load_from=str(tmp_path / 'epoch_3.pth'))):
        runner = make_runner(tmp_path, epochs=2, **settings)
        runner.train()
        assert (runner._resume, Path(runner._load_from).name) == (True, 'epoch_1.pth')
        (tmp_path / 'last_checkpoint').write_text('epoch_1.pth')


def test_what_a_dead_process_left_half_written_goes(tmp_path):
    (tmp_path / 'epoch_7.pth.tmp').write_bytes(b'half')
    make_runner(tmp_path, epochs=1).train()
    assert names(tmp_path) == {'epoch_1.pth'}


class SaveNow(Hook):
    """Asks for a checkpoint within the first epoch."""

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        if runner.iter == 1:
            (saver,) = (hook for hook in runner.hooks if hasattr(hook, 'save_now'))
            self.path = saver.save_now(runner, runner.epoch, runner.iter + 1)
            self.recorded = (Path(runner.work_dir) / 'last_checkpoint').read_text()


def test_save_now_and_then_regularly(tmp_path):
    runner = make_runner(tmp_path, epochs=1)
    hook = SaveNow()
    runner.register_hook(hook)
    runner.train()
    assert hook.recorded == INTERRUPTED and Path(hook.path).name == INTERRUPTED
    assert names(tmp_path) == {'epoch_1.pth'}


def test_full_disk_is_a_sentence_and_loses_nothing(tmp_path, monkeypatch):
    make_runner(tmp_path, epochs=1, keep=1).train()
    before = (tmp_path / 'epoch_1.pth').read_bytes()
    runner = make_runner(tmp_path, epochs=2, keep=1, resume=True)

    def full(descriptor):
        raise OSError(28, 'No space left on device')

    with monkeypatch.context() as patch:
        patch.setattr(os, 'fsync', full)
        with pytest.raises(UserError, match=r'epoch_2\.pth cannot be written \(No space left on device\): free some'):
            runner.train()
    assert names(tmp_path) == {'epoch_1.pth'}
    assert (tmp_path / 'epoch_1.pth').read_bytes() == before
    assert (tmp_path / 'last_checkpoint').read_text() == 'epoch_1.pth'
