"""kill -9 at any moment: the training always goes on, and ends as one that was never killed."""

import random
import re
import signal
import subprocess
import time
from pathlib import Path

from sparse_rcnn_ext.engine.checkpoints.resuming import find_last_checkpoint, is_whole
from tests.durability.compare import differences
from tests.durability.conftest import SOAK, kill, output_of
from tests.fork_server import LIMIT

KILLS, EPOCHS = (20, 60) if SOAK else (3, 9)
# Half of the time goes into saving, so that a random moment often falls into it.
SLOW = ['--slow-saving', 0.05]
# Of a checkpoint, of the record that names it, and of the next checkpoint.
MOMENTS = range(1, 10)
LOST = ('ConnectionResetError', 'BrokenPipeError', 'EOFError')
# A checkpoint after every three iterations of epochs of five; the two newest are kept.
OPTIONS = dict(epochs=EPOCHS, workers=1, seconds=0.01, within=True, interval=3, keep=2, validate=True)
SETTINGS = ['--set', *(f'{name}={value}' for name, value in OPTIONS.items())]


def iterations_begun(folder: Path) -> int:
    return len(re.findall(r'Epoch\(train\)', output_of(folder)))


def wait_for_iteration(process: subprocess.Popen, folder: Path, begun: int) -> None:
    deadline = time.monotonic() + LIMIT
    while iterations_begun(folder) == begun:
        assert process.poll() is None and time.monotonic() < deadline, output_of(folder)
        time.sleep(0.005)


def train_through_kills(start, folder: Path, generator: random.Random) -> None:
    """Kill the training so often, resuming it each time, then let it end.

    Every second time it kills itself while it is saving, which a process that looks on could miss. The other kills come
    up to half a second after the first iteration.
    """
    folder.mkdir()
    half_written = 0
    for attempt in range(KILLS):
        saving = generator.choice(MOMENTS) if attempt % 2 else None
        options = [] if saving is None else ['--kill-in-saving', saving]
        begun = iterations_begun(folder)
        process = start(folder, '--resume', *SLOW, *options, *SETTINGS)
        if saving is None:
            wait_for_iteration(process, folder, begun)
            time.sleep(generator.uniform(0, 0.5))
            kill(folder)
        assert process.wait(LIMIT) == -signal.SIGKILL, output_of(folder)
        if saving is not None and saving % 3:
            assert list(folder.glob('*.tmp')), f'nothing is left of moment {saving}'
            half_written += 1
        assert all(is_whole(path) for path in folder.glob('*.pth'))
        record = folder / 'last_checkpoint'
        assert not record.exists() or (folder / record.read_text()).is_file()
    assert half_written
    newest = find_last_checkpoint(folder)
    assert newest is not None
    killed = output_of(folder)
    assert start(folder, '--resume', *SETTINGS).wait(LIMIT) == 0, output_of(folder)
    last = output_of(folder)[len(killed) :]
    assert f'Training goes on from {newest}' in last
    assert 'damaged' not in killed + last and 'Traceback' not in last
    # Nor was anything wrong before, but that a worker lost the process it talked to.
    causes = re.findall(r'^Traceback .*\n(?: .*\n)*(.*)', killed, re.MULTILINE)
    assert all(cause.startswith(LOST) for cause in causes), causes


def test_kills(start, tmp_path):
    train_through_kills(start, tmp_path / 'killed', random.Random(0))
    assert start(tmp_path / 'whole', *SETTINGS).wait(LIMIT) == 0, output_of(tmp_path / 'whole')
    last = f'iter_{EPOCHS * 5}.pth'
    assert differences(tmp_path / 'whole' / last, tmp_path / 'killed' / last) == []
    names = {path.name for path in (tmp_path / 'killed').glob('*.pth*')}
    assert names == {path.name for path in (tmp_path / 'whole').glob('*.pth')}
