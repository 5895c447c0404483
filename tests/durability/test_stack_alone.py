"""What mmengine does without our hooks, so that what the other tests show is known to be ours."""

import re
import signal
from pathlib import Path

import pytest
from mmengine.fileio import LocalBackend
from mmengine.registry import init_default_scope
from mmengine.runner.checkpoint import find_latest_checkpoint

from tests.durability.small_training import STACK, make_runner
from tests.time_limits import LIMIT

TWO_PROCESSES = ['--stack', '--set', 'epochs=2', 'accumulated=1', 'workers=1']


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmengine')


def test_broken_newest_checkpoint_is_taken(tmp_path):
    make_runner(tmp_path, hooks=STACK, epochs=2).train()
    newest = tmp_path / 'epoch_2.pth'
    newest.write_bytes(newest.read_bytes()[:1000])
    assert find_latest_checkpoint(str(tmp_path)) == str(newest)


def test_full_disk_leaves_a_broken_checkpoint_only(tmp_path, monkeypatch):
    make_runner(tmp_path, hooks=STACK, epochs=1, keep=1).train()
    runner = make_runner(tmp_path, hooks=STACK, epochs=2, keep=1, resume=True)

    def full(backend: LocalBackend, content: bytes, path: str) -> None:
        Path(path).write_bytes(content[:10])
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(LocalBackend, 'put', full)
    with pytest.raises(OSError, match='No space left'):
        runner.train()
    assert [path.stat().st_size for path in tmp_path.glob('*.pth')] == [10]


@pytest.mark.slow
def test_torchrun_restarts_from_nothing(start, tmp_path):
    folder = tmp_path / 'run'
    kill = ['--send', int(signal.SIGKILL), 4, 1]
    assert start(folder, *kill, *TWO_PROCESSES, torchrun=['--max-restarts', '1']).wait(LIMIT) == 0
    printed = folder.with_name('run.txt').read_text()
    assert len(re.findall(r'Epoch\(train\) +\[1\]\[1/3\]', printed)) == 2


@pytest.mark.slow
def test_another_number_of_processes_is_not_said(start, tmp_path):
    assert start(tmp_path / 'two', *TWO_PROCESSES, torchrun=[]).wait(LIMIT) == 0
    from_two = f'load_from={tmp_path}/two/epoch_1.pth'
    assert start(tmp_path / 'one', '--resume', *TWO_PROCESSES, from_two).wait(LIMIT) == 0
    printed = (tmp_path / 'one.txt').read_text()
    assert 'resumed epoch: 1' in printed
    assert not re.search(r'WARNING.*process', printed)
