"""Two processes: they stop together, and torchrun starts them again."""

import re
import signal
from pathlib import Path

import pytest

from tests.durability.compare import differences, load
from tests.durability.conftest import output_of
from tests.fork_server import LIMIT

# Two epochs of three iterations. Without accumulated steps, whose gradients a checkpoint keeps as a mean.
SETTINGS = ['--set', 'epochs=2', 'accumulated=1', 'workers=1']
LAST = 'epoch_2.pth'


@pytest.fixture(scope='module')
def whole(start, tmp_path_factory) -> Path:
    """A training that nothing stopped."""
    folder = tmp_path_factory.mktemp('two') / 'whole'
    assert start(folder, *SETTINGS, torchrun=[]).wait(LIMIT) == 0, output_of(folder)
    return folder


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_all_stop_where_one_gets_a_signal(start, whole, tmp_path, number):
    folder = tmp_path / 'run'
    # Rank 1, which is not the one that saves, in the second iteration; all know of it after the third.
    send = ['--send', int(number), 1, 1]
    assert start(folder, *send, *SETTINGS, torchrun=[]).wait(LIMIT) != 0
    printed = output_of(folder)
    stopped = re.findall(rf'Stopped by {number.name} after iteration (\d), saved as (\S+):', printed)
    assert stopped == [('3', str(folder / 'interrupted.pth'))]
    # Both ended by themselves: what torchrun sees is the code of the hook.
    assert f'exitcode  : {128 + number} ' in printed
    assert load(folder / 'interrupted.pth')['meta']['iter'] == 3
    assert start(folder, '--resume', *SETTINGS, torchrun=[]).wait(LIMIT) == 0, output_of(folder)
    assert differences(whole / LAST, folder / LAST) == []


def test_torchrun_starts_a_killed_process_again(start, whole, tmp_path):
    folder = tmp_path / 'run'
    # In the second epoch; not a word of --resume.
    kill = ['--send', int(signal.SIGKILL), 4, 1]
    assert start(folder, *kill, *SETTINGS, torchrun=['--max-restarts', '1']).wait(LIMIT) == 0, output_of(folder)
    assert f'Training goes on from {folder}/epoch_1.pth' in output_of(folder)
    assert differences(whole / LAST, folder / LAST) == []


def test_another_number_of_processes_is_said(start, whole, tmp_path):
    folder = tmp_path / 'run'
    from_two = f'load_from={whole}/epoch_1.pth'
    assert start(folder, '--resume', *SETTINGS, from_two).wait(LIMIT) == 0, output_of(folder)
    said = re.findall(r'WARNING - \S+epoch_1\.pth was saved by a training of (.*?):', output_of(folder))
    assert said == [
        '2 (processes) x 4 (images) x 1 (accumulated steps) = 8, '
        'and this one has 1 (processes) x 4 (images) x 1 (accumulated steps) = 4'
    ]
