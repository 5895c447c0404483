"""Runs this repository's tools one after another and shows how they get on."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sparse_rcnn_ext.errors import UserError

REPO = Path(__file__).resolve().parent.parent
# What of the tools' logs is shown; all of it is in the log file of the run.
PROGRESS = re.compile(r'(Epoch|Iter)\(\w+\)|Effective batch|Saving checkpoint|resumed epoch')


class Steps:
    """Runs the steps one by one; keeps how long each took."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str, what: str) -> Iterator[None]:
        """Announce a step and time what is done in the block."""
        say(f'\n=== {len(self.seconds) + 1}/{self.total} {name}: {what}')
        started = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - started


def say(text: str) -> None:
    print(text, flush=True)


def run_tool(*command: str | Path, shown: re.Pattern | None = None) -> list[str]:
    """Run one of this repository's tools from its root.

    Args:
        command: The tool and its arguments.
        shown: Which lines of its stdout to show, without what is long in them; None: all. Its stderr is always shown.

    Returns:
        The lines of its stdout.

    Raises:
        UserError: If the tool fails.
    """
    arguments = [str(part) for part in command]
    as_typed = f'python {" ".join(part.removeprefix(f"{REPO}/") for part in arguments)}'
    say(f'$ {as_typed}')
    environment = os.environ | {'PYTHONUNBUFFERED': '1'}
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=REPO, env=environment, stdout=subprocess.PIPE, text=True, errors='replace'
    )
    lines = []
    try:
        for line in process.stdout:
            lines.append(line.rstrip('\n'))
            if shown is None:
                say(lines[-1])
            elif shown.search(line):
                # Without the name of the logger, the losses of each stage and the details of the mAP.
                text = lines[-1].rpartition(' - mmengine - INFO - ')[2]
                say(re.sub(r'((  loss|coco/bbox_mAP): \S+).*', r'\1', text))
    except BaseException:
        process.terminate()
        raise
    finally:
        # Nothing may write to the folder of the run when this process is gone.
        code = process.wait()
    if code:
        raise UserError(f'"{as_typed}" failed with exit code {code}: see its message above')
    return lines
