"""The last whole checkpoint of a run is found, and broken ones are named."""

import logging
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from sparse_rcnn_ext.engine.checkpoints import resuming
from sparse_rcnn_ext.engine.checkpoints.resuming import (
    RUN_STATE,
    agree_on_last_checkpoint,
    find_last_checkpoint,
    is_whole,
    job_name,
    record_checkpoint,
)
from sparse_rcnn_ext.errors import UserError


def save(path: Path, age: int, job: str | None = None, **more: object) -> Path:
    torch.save({'meta': {}, 'optimizer': {}, 'weight': torch.rand(1000), RUN_STATE: dict(job=job)} | more, path)
    os.utime(path, (1e9 - age, 1e9 - age))
    return path


@pytest.fixture
def run(tmp_path) -> Path:
    """A folder with three checkpoints."""
    folder = tmp_path / 'run'
    folder.mkdir()
    for epoch in (9, 10, 11):
        save(folder / f'epoch_{epoch}.pth', age=100 - epoch)
    record_checkpoint(folder, folder / 'epoch_11.pth')
    return folder


def test_record_is_relative(run, tmp_path):
    assert (run / 'last_checkpoint').read_text() == 'epoch_11.pth'
    record_checkpoint(run, tmp_path / 'elsewhere/run/epoch_1.pth')
    assert (run / 'last_checkpoint').read_text() == '../elsewhere/run/epoch_1.pth'
    record_checkpoint(run, 's3://bucket/epoch_1.pth')
    assert find_last_checkpoint(run) == 's3://bucket/epoch_1.pth'


def test_last_one(run, tmp_path):
    assert find_last_checkpoint(run) == str(run / 'epoch_11.pth')
    run.rename(tmp_path / 'moved')
    assert find_last_checkpoint(tmp_path / 'moved') == str(tmp_path / 'moved/epoch_11.pth')


def test_record_of_mmengine(run, tmp_path, monkeypatch):
    """As seen from where the training started, or absolute and moved since."""
    monkeypatch.chdir(tmp_path)
    for written in ('run/epoch_10.pth', '/elsewhere/epoch_10.pth', str(run / 'epoch_10.pth')):
        (run / 'last_checkpoint').write_text(written)
        assert Path(find_last_checkpoint('run')).resolve() == run / 'epoch_10.pth'


def test_nothing_there(tmp_path):
    assert find_last_checkpoint(tmp_path / 'nowhere') is None
    # Weights that were put there are nothing to go on from, nor is a checkpoint without its optimizer.
    torch.save(dict(state_dict={}), tmp_path / 'start.pth')
    assert find_last_checkpoint(tmp_path) is None


def damage(path: Path, how: str) -> None:
    content = bytearray(path.read_bytes())
    if how == 'empty':
        content = b''
    elif how == '10 bytes':
        content = content[:10]
    elif how == 'cut off':
        content = content[: len(content) // 2]
    elif how == 'zeros':
        # What some file systems leave after a power failure: the size is right.
        content[1000:2000] = bytes(1000)
    path.write_bytes(content)
    if how == 'gone':
        path.unlink()


@pytest.mark.parametrize('how', ['empty', '10 bytes', 'cut off', 'zeros', 'gone'])
def test_broken_newest_is_named_and_the_one_before_it_used(run, how):
    damage(run / 'epoch_11.pth', how)
    found = find_last_checkpoint(run)
    assert found == str(run / 'epoch_10.pth')
    assert is_whole(Path(found))


def test_any_damage_is_passed_over(run):
    """300 times some bytes at random places; zipfile has an error of its own for many of them."""
    path, generator = run / 'epoch_11.pth', random.Random(0)
    whole = path.read_bytes()
    hits = 0
    for _ in range(300):
        content = bytearray(whole)
        for _ in range(generator.randint(1, 3)):
            # Headers and the directory at the end take a small part of the file.
            place = generator.choice([generator.randrange(600), len(content) - 1 - generator.randrange(1200)])
            content[place] = generator.randrange(256)
        path.write_bytes(content)
        found = find_last_checkpoint(run)
        assert found in (str(path), str(run / 'epoch_10.pth'))
        hits += found != str(path)
    assert hits > 50


def test_warning_names_both(run, monkeypatch):
    said = []
    monkeypatch.setattr(
        'sparse_rcnn_ext.engine.checkpoints.resuming.print_log',
        lambda text, logger, level: said.append((level, text)),
    )
    assert find_last_checkpoint(run) and said == []
    damage(run / 'epoch_11.pth', 'cut off')
    find_last_checkpoint(run)
    ((level, text),) = said
    assert level == logging.WARNING
    assert text == f'{run}/epoch_11.pth is gone, empty or damaged: {run}/epoch_10.pth is used.'


def test_best_one_is_nothing_to_go_on_from(run):
    damage(run / 'epoch_11.pth', 'empty')
    best = run / 'best_epoch_10.pth'
    torch.save(dict(meta={}), best)
    assert find_last_checkpoint(run) == str(run / 'epoch_10.pth')


@pytest.mark.parametrize('content', [None, b'', b'\xff\xfe'], ids=['no record', 'an empty one', 'no text'])
def test_without_a_record(run, content):
    (run / 'last_checkpoint').unlink()
    if content is not None:
        (run / 'last_checkpoint').write_bytes(content)
    assert find_last_checkpoint(run) == str(run / 'epoch_11.pth')


def test_all_broken_is_one_sentence(run):
    for path in run.glob('*.pth'):
        damage(path, 'cut off')
    with pytest.raises(
        UserError, match=r'epoch_11\.pth.* is gone, empty or damaged, .*delete it and .*last_checkpoint'
    ):
        find_last_checkpoint(run)


def test_rank_0_decides_for_all(run, monkeypatch):
    """As a process of another machine, whose folder has other files."""
    monkeypatch.setattr(resuming, 'is_main_process', lambda: False)
    told = []

    def broadcast(data: list) -> None:
        data[:] = told

    monkeypatch.setattr(resuming, 'broadcast_object_list', broadcast)
    told[:] = [str(run / 'epoch_9.pth'), None]
    assert agree_on_last_checkpoint(run) == str(run / 'epoch_9.pth')
    told[:] = [None, None]
    assert agree_on_last_checkpoint(run) is None
    told[:] = ['/elsewhere/epoch_9.pth', None]
    with pytest.raises(UserError, match=r'^rank 0 goes on from /elsewhere/epoch_9\.pth, which is not on the machine'):
        agree_on_last_checkpoint(run)
    told[:] = [None, 'all are damaged']
    with pytest.raises(UserError, match=r'^all are damaged$'):
        agree_on_last_checkpoint(run)


def test_alone_is_rank_0(run):
    assert agree_on_last_checkpoint(run) == str(run / 'epoch_11.pth')
    for path in run.glob('*.pth'):
        damage(path, 'cut off')
    with pytest.raises(UserError, match='is gone, empty or damaged'):
        agree_on_last_checkpoint(run)


def test_jobs_without_a_name_are_told_apart(monkeypatch):
    monkeypatch.delenv('TORCHELASTIC_RUN_ID', raising=False)
    assert job_name() is None
    monkeypatch.setenv('TORCHELASTIC_RUN_ID', 'mine')
    assert job_name() == 'mine'
    # What torchrun calls all jobs without --rdzv-id.
    monkeypatch.setenv('TORCHELASTIC_RUN_ID', 'none')
    mine = job_name()
    assert str(os.getppid()) in mine and job_name() == mine
    # The restarted process is a child of the same one, and a child of another is another job.
    restarted, again, other = in_child(job_name), in_child(job_name), in_child(lambda: in_child(job_name))
    assert restarted == again != other and str(os.getpid()) in restarted


def in_child(call: Callable[[], str]) -> str:
    """What a forked process gets."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, call().encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as pipe:
        return pipe.read()


def test_of_one_job_only(run):
    """After a restart a checkpoint of an older training in the same folder must not be taken."""
    assert find_last_checkpoint(run, job='new') is None
    save(run / 'epoch_1.pth', age=50, job='new')
    assert find_last_checkpoint(run, job='new') == str(run / 'epoch_1.pth')
