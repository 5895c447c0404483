"""Runs the rows of a table, each tool in a process of its own, so that a crash costs one run."""

import fcntl
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from launch_command import TOOLS, Launch
from mmengine.config import Config

from sparse_rcnn_ext.ablation import Result, last_checkpoint_name, pick_ap, read_cost, read_result, write_json
from sparse_rcnn_ext.ablation.outcome import (
    COST_FILE,
    RESULT_FILE,
    read_metrics,
    step_seconds,
    training_seconds,
    validation_curve,
)
from sparse_rcnn_ext.errors import UserError

TAIL_LINES = 15


class RunError(Exception):
    """A tool failed; the text says which, and how its log ends."""


class RowRuns(NamedTuple):
    """All runs of one config. Its folder is named after its settings: other settings get another folder."""

    cfg: Config
    folder: Path
    launch: Launch

    @property
    def config_file(self) -> Path:
        """The config as it is run: whole, without a base."""
        return self.folder / 'config.py'

    def seed_folder(self, seed: int) -> Path:
        """Where the training with this seed lands."""
        return self.folder / f'seed-{seed}'

    def result(self, seed: int) -> Result | None:
        """What came out with this seed, if that is known."""
        return read_result(self.seed_folder(seed))

    def prepare(self) -> None:
        """Write the config."""
        if not self.config_file.is_file():
            self.folder.mkdir(parents=True, exist_ok=True)
            fresh = self.folder / '.config.py'
            self.cfg.dump(fresh)
            fresh.replace(self.config_file)

    def measure(self) -> dict:
        """Parameters, multiply-adds and latency, unless they are known.

        Raises:
            RunError: If that fails.
        """
        with _alone(self.folder):
            cost = read_cost(self.folder)
            if cost is None:
                tool = str(TOOLS / 'analysis/flops.py')
                command = [sys.executable, tool, str(self.config_file), '--latency', '--json']
                lines = _run(command, self.folder / 'cost.log', self.launch, lambda line: None)
                # Warnings may stand before and behind.
                cost = json.JSONDecoder().raw_decode('\n'.join(lines[lines.index('{') :]))[0]
                write_json(self.folder / COST_FILE, cost)
        return cost

    def train_and_test(self, seed: int, on_line: Callable[[str], None]) -> Result:
        """The result of a seed, unless it is known; an interrupted training goes on from its last checkpoint.

        Args:
            seed: Of all random numbers of the training.
            on_line: Gets every line that the tools print.

        Raises:
            RunError: If training or test fails.
        """
        folder = self.seed_folder(seed)
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder):
            result = self.result(seed)
            if result is None:
                checkpoint = folder / last_checkpoint_name(self.cfg)
                if _saved_last(folder) != checkpoint:
                    arguments = (self.config_file, '--work-dir', folder, '--seed', seed, '--resume')
                    command = self.launch.command('train', *arguments)
                    _run(command, folder / 'train.log', self.launch, on_line)
                shutil.rmtree(folder / 'test', ignore_errors=True)
                command = self.launch.command('test', self.config_file, checkpoint, '--work-dir', folder / 'test')
                _run(command, folder / 'test.log', self.launch, on_line)
                metrics = read_metrics(folder / 'test')
                try:
                    ap = pick_ap(metrics)
                except UserError as error:
                    raise RunError(str(error)) from error
                result = Result(
                    seed, ap, training_seconds(folder), metrics, step_seconds(folder), validation_curve(folder)
                )
                write_json(folder / RESULT_FILE, result._asdict())
        return result


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process works in this folder, such as one that runs another table with the same row."""
    with (folder / '.lock').open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _saved_last(folder: Path) -> Path | None:
    """The last checkpoint of a training. Its record goes where the checkpoint is gone: there is nothing to resume."""
    record = folder / 'last_checkpoint'
    if not record.is_file():
        return None
    checkpoint = folder / Path(record.read_text().strip()).name
    if not checkpoint.is_file():
        record.unlink()
        return None
    return checkpoint


def _run(command: list[str], log: Path, launch: Launch, on_line: Callable[[str], None]) -> list[str]:
    """Run a command, with all that it prints at the end of ``log``.

    Returns:
        The lines that it printed.

    Raises:
        RunError: If it fails.
    """
    lines = []
    with log.open('a', encoding='utf-8') as file:
        file.write(f'$ {" ".join(command)}\n')
        file.flush()
        process = subprocess.Popen(
            command,
            env=launch.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors='replace',
        )
        try:
            for line in process.stdout:
                file.write(line)
                file.flush()
                lines.append(line.rstrip('\n'))
                on_line(line)
        except BaseException:
            process.terminate()
            raise
        finally:
            # Nothing may write to the folder of a run when this process is gone.
            code = process.wait()
    if code:
        raise RunError('\n'.join([f'exit code {code}; {log} ends with', *lines[-TAIL_LINES:]]))
    return lines
