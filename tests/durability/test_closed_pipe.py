"""`train.py … | tee log`: Ctrl-C ends tee too, and what the training prints goes nowhere."""

import signal
import subprocess

from tests.durability.compare import load
from tests.durability.conftest import PROGRAM
from tests.fork_server import LIMIT


def test_ctrl_c_saves_although_nobody_reads(python, tool_environment, tmp_path):
    settings = ['--set', 'epochs=1000', 'workers=0', 'seconds=0.01', 'interval=1000']
    process = subprocess.Popen(
        [python, str(PROGRAM), str(tmp_path / 'run'), *settings],
        env=tool_environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    for line in process.stdout:
        if 'Epoch(train)' in line:
            break
    process.stdout.close()
    process.send_signal(signal.SIGINT)
    # Python's own code where it cannot flush what it printed, or the hook's.
    assert process.wait(LIMIT) in (120, 130)
    assert load(tmp_path / 'run/interrupted.pth')['meta']['iter'] >= 1
    assert (tmp_path / 'run/last_checkpoint').read_text() == 'interrupted.pth'
