"""What the folder of a run holds: its config, its weights, its machine, and what its log says."""

import re
from dataclasses import dataclass
from pathlib import Path

from sparse_rcnn_ext.ablation.outcome import read_entries
from sparse_rcnn_ext.engine.checkpoints.resuming import RECORD, locate
from sparse_rcnn_ext.errors import UserError

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


NOT_METRICS = ('data_time', 'time', 'step', 'at_step')


@dataclass(frozen=True)
class RunLog:
    """The lines that mmengine's LocalVisBackend wrote."""

    training: list[dict]
    """Rising in ``step``, the iteration; with ``lr``, ``loss``, ``s0.loss_cls`` and so on."""
    validation: list[dict]
    """In the order in which they were made; with metrics such as ``coco/bbox_mAP``, and ``at_step``, the last logged
    iteration before."""

    @property
    def counts_epochs(self) -> bool:
        """Whether ``step`` of a validation is an epoch."""
        steps = [entry['step'] for entry in self.validation]
        return bool(self.training) and 'epoch' in self.training[-1] and steps == sorted(set(steps))

    def loss_kinds(self) -> dict[str, list[str]]:
        """The names of the losses by kind: ``{'loss_cls': ['s0.loss_cls', 's1.loss_cls', …], …}``."""
        kinds: dict[str, list[str]] = {}
        for name in self.training[-1] if self.training else ():
            kind = name.rpartition('.')[2]
            if 'loss' in kind and name != 'loss':
                kinds.setdefault(kind, []).append(name)
        return kinds

    def metric_curve(self, name: str) -> tuple[list[float], list[float]]:
        """Epochs (or iterations) and values of a metric, where it has one."""
        at = 'step' if self.counts_epochs else 'at_step'
        entries = [entry for entry in self.validation if isinstance(entry.get(name), (int, float))]
        return [entry[at] for entry in entries], [entry[name] for entry in entries]

    def metric_names(self) -> list[str]:
        """All numbers that validations gave."""
        names = dict.fromkeys(name for entry in self.validation for name in entry if name not in NOT_METRICS)
        return [name for name in names if self.metric_curve(name)[1]]


def read_run_log(run: Path) -> RunLog:
    """Read the logs of all trainings in a run's folder.

    A training that went on from a checkpoint replaces what was logged beyond it; one that began anew replaces all.
    """
    training: list[dict] = []
    validation: list[dict] = []
    for log in training_logs(run):
        steps, tests, last = [], [], 0
        for entry in read_entries(log):
            if 'loss' in entry:
                last = entry['step']
                steps.append(entry)
            else:
                tests.append(entry | dict(at_step=last))
        first = steps[0]['step']
        training = [entry for entry in training if entry['step'] < first] + steps
        validation = [entry for entry in validation if entry['at_step'] < first] + tests
    return RunLog(training, validation)


def training_logs(run: Path) -> list[Path]:
    """The logs with at least one step of a training, oldest first: RUN/TIME/vis_data/scalars.json."""
    logs = sorted(run.glob('*/vis_data/scalars.json'))
    return [log for log in logs if any('loss' in entry for entry in read_entries(log))]
