"""Where a run keeps its config, its weights and what it says of its machine."""

import re
from pathlib import Path

from sparse_rcnn_ext.engine.errors import UserError
from sparse_rcnn_ext.engine.last_checkpoint import RECORD, locate

from .run_log import training_logs

_ENVIRONMENT = re.compile(r'^System environment:\n(.*?)^-{20,}', re.MULTILINE | re.DOTALL)
# Without the flags that torch was compiled with, pages of them.
_FACT = re.compile(r'^ {4}(?!PyTorch compiling)(\S[^:]*): *(\S.*)$', re.MULTILINE)


def find_config(run: Path) -> Path:
    """The config of the newest training in ``run``, as mmengine wrote it down.

    Raises:
        UserError: If ``run`` is no folder of a run.
    """
    # A test writes its config into the run's folder too; this one is the training's own.
    candidates = [log.parent / 'config.py' for log in reversed(training_logs(run))]
    candidates += sorted(run.glob('*.py'))
    for path in candidates:
        if path.is_file():
            return path
    raise UserError(f'{run} is no folder of a run: give one in which tools/train.py left its log and config')


def find_checkpoint(run: Path) -> Path | None:
    """The last checkpoint, found also where the folder was moved since; None where there is none."""
    record = run / RECORD
    name = record.read_text(errors='replace').strip() if record.is_file() else ''
    path = locate(run, name) if name else None
    return path if path and path.is_file() else None


def read_environment(run: Path) -> list[tuple[str, str]]:
    """Names and values of the machine and the libraries, from the newest training's log; empty where it has none."""
    for log in reversed(training_logs(run)):
        folder = log.parent.parent
        text = folder / f'{folder.name}.log'
        match = _ENVIRONMENT.search(text.read_text(encoding='utf-8')) if text.is_file() else None
        if match:
            return _FACT.findall(match[1])
    return []
