"""The command that starts tools/train.py or tools/test.py, in one process or in several."""

import os
import sys
from pathlib import Path
from typing import NamedTuple

TOOLS = Path(__file__).resolve().parent


class Launch(NamedTuple):
    """How to start a tool."""

    launcher: str
    """One of ``sparse_rcnn_ext.engine.config.arguments.LAUNCHERS``."""
    processes: int
    partition: str | None
    """Of Slurm."""

    def command(self, tool: str, *arguments: object) -> list[str]:
        """The command line.

        Args:
            tool: ``'train'`` or ``'test'``.
            arguments: CONFIG for train, CONFIG and CHECKPOINT for test, and then options.
        """
        words = [str(argument) for argument in arguments]
        script = str(TOOLS / f'{tool}.py')
        if self.launcher == 'pytorch':
            position = dict(train=1, test=2)[tool]
            return [str(TOOLS / f'dist_{tool}.sh'), *words[:position], str(self.processes), *words[position:]]
        if self.launcher == 'slurm':
            return [str(TOOLS / f'slurm_{tool}.sh'), self.partition, Path(words[0]).parent.name, *words]
        if self.launcher == 'mpi':
            return ['mpirun', '-np', str(self.processes), sys.executable, script, *words, '--launcher', 'mpi']
        return [sys.executable, script, *words]

    def environment(self) -> dict[str, str]:
        """The environment of the command."""
        settings = {'PYTHONUNBUFFERED': '1', 'PYTHON': sys.executable}
        if self.launcher == 'slurm':
            settings['GPUS'] = str(self.processes)
        if self.launcher == 'mpi':
            settings['MASTER_ADDR'] = os.environ.get('MASTER_ADDR', '127.0.0.1')
        return os.environ | settings
