"""kill -9 at any moment: the training always goes on, and ends as one that was never killed."""

import random
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from sparse_rcnn_ext.engine.last_checkpoint import find_last_checkpoint, is_whole
from tests.durability.compare import differences
from tests.time_limits import LIMIT

# Half of the time goes into saving, so that a random moment often falls into it.
SLOW = ['--slow-saving', 0.05]
# Of a checkpoint, of the record that names it, and of the next checkpoint.
MOMENTS = range(1, 10)
LOST = ('ConnectionResetError', 'BrokenPipeError', 'EOFError')


def settings(epochs: int) -> list[str]:
    """A checkpoint after every three iterations of epochs of five; the two newest are kept."""
    options = dict(epochs=epochs, workers=1, seconds=0.01, within=True, interval=3, keep=2, validate=True)
    return ['--set', *(f'{name}={value}' for name, value in options.items())]


def output_of(folder: Path) -> str:
    return folder.with_name(f'{folder.name}.txt').read_text()


def iterations_begun(folder: Path) -> int:
    path = folder.with_name(f'{folder.name}.txt')
    return len(re.findall(r'Epoch\(train\)', path.read_text())) if path.exists() else 0


def wait_for_iteration(process: subprocess.Popen, folder: Path, seconds: float) -> bool:
    """Whether an iteration begins within so many seconds; back as soon as it does."""
    begun = iterations_begun(folder)
    deadline = time.monotonic() + seconds
    while process.poll() is None and iterations_begun(folder) == begun and time.monotonic() < deadline:
        time.sleep(0.005)
    return iterations_begun(folder) > begun


def train_through_kills(start, folder: Path, kills: int, epochs: int, generator: random.Random) -> int:
    """Kill the training so often, resuming it each time, then let it end; how often it left a half written file.

    Every second time it kills itself while it is saving, which a process that looks on could miss. The other kills come
    up to a second after the first iteration, and each third of them anywhere between the start and that iteration.
    """
    folder.mkdir()
    half_written, starting = 0, 0.0
    for attempt in range(kills):
        saving = generator.choice(MOMENTS) if attempt % 2 else None
        options = [] if saving is None else ['--kill-in-saving', saving]
        started = time.monotonic()
        process = start(folder, '--resume', *SLOW, *options, *settings(epochs))
        if saving is None:
            if attempt % 6 == 4:
                wait_for_iteration(process, folder, generator.uniform(0, starting))
            else:
                assert wait_for_iteration(process, folder, LIMIT), output_of(folder)
                starting = time.monotonic() - started
                time.sleep(generator.uniform(0, 1.0))
            process.send_signal(signal.SIGKILL)
        assert process.wait(LIMIT) == -signal.SIGKILL, output_of(folder)
        if saving is not None and saving % 3:
            assert list(folder.glob('*.tmp')), f'nothing is left of moment {saving}'
            half_written += 1
        assert all(is_whole(path) for path in folder.glob('*.pth'))
        record = folder / 'last_checkpoint'
        assert not record.exists() or (folder / record.read_text()).is_file()
    newest = find_last_checkpoint(folder)
    assert newest is not None
    killed = output_of(folder)
    assert start(folder, '--resume', *settings(epochs)).wait(LIMIT) == 0, output_of(folder)
    last = output_of(folder)[len(killed) :]
    assert f'Training goes on from {newest}' in last
    assert 'damaged' not in killed + last and 'Traceback' not in last
    # Nor was anything wrong before, but that a worker lost the process it talked to.
    causes = re.findall(r'^Traceback .*\n(?: .*\n)*(.*)', killed, re.MULTILINE)
    assert all(cause.startswith(LOST) for cause in causes), causes
    return half_written


def same_end(start, tmp_path: Path, epochs: int) -> None:
    last = f'iter_{epochs * 5}.pth'
    assert start(tmp_path / 'whole', *settings(epochs)).wait(LIMIT) == 0, output_of(tmp_path / 'whole')
    assert differences(tmp_path / 'whole' / last, tmp_path / 'killed' / last) == []
    names = {path.name for path in (tmp_path / 'killed').glob('*.pth*')}
    assert names == {path.name for path in (tmp_path / 'whole').glob('*.pth')}


def test_two_kills(start, tmp_path):
    """The second one while it is saving."""
    assert train_through_kills(start, tmp_path / 'killed', kills=2, epochs=10, generator=random.Random(0)) == 1
    same_end(start, tmp_path, epochs=10)


@pytest.mark.slow
def test_twenty_kills(start, tmp_path):
    """Between two of them it gets a few iterations further; of each kind of moment of saving, some are drawn."""
    generator = random.Random(0)
    assert train_through_kills(start, tmp_path / 'killed', kills=20, epochs=30, generator=generator) >= 5
    same_end(start, tmp_path, epochs=30)
