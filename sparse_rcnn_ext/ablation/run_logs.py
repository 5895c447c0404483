"""What mmengine's log files say of a run."""

import json
from contextlib import suppress
from pathlib import Path
from statistics import median

from .outcome import find_ap


def read_metrics(work_dir: Path) -> dict[str, float]:
    """The numbers of the last test whose log lies in ``work_dir``."""
    # A test leaves TIME/TIME.json, and a training nothing of that name.
    newest = max(path for path in work_dir.glob('*/*.json') if path.stem == path.parent.name)
    return {name: value for name, value in json.loads(newest.read_text()).items() if isinstance(value, (int, float))}


def training_seconds(work_dir: Path) -> float:
    """Time of all iterations of a training, which may have been interrupted and resumed.

    What was trained twice counts once.
    """
    return _seconds_of(_lines(work_dir))


def step_seconds(work_dir: Path) -> float | None:
    """Time of one iteration of a training, with the wait for its data: the median over its log; None without one."""
    times = [line['time'] for line in _lines(work_dir).values()]
    return median(times) if times else None


def validation_curve(work_dir: Path) -> list[list[float]]:
    """Of each validation of a training: epoch or iteration, seconds of the iterations until then, AP in per cent."""
    lines = _lines(work_dir)
    scores = {}
    for log in _scalars(work_dir):
        # A training that counts epochs has the epoch as the step of a validation, and beside that of an iteration.
        scores |= {entry['step']: find_ap(entry) for entry in read_entries(log) if 'loss' not in entry}
    curve = []
    for when, ap in sorted(scores.items()):
        if ap is not None:
            before = {step: line for step, line in lines.items() if line.get('epoch', step) <= when}
            curve.append([when, _seconds_of(before), ap])
    return curve


def _lines(work_dir: Path) -> dict[int, dict]:
    """The lines of a training's log by their iteration; ``time`` is the mean of the iterations since the one before."""
    lines = {}
    # A training that went on from a checkpoint replaces what was logged beyond it.
    for log in _scalars(work_dir):
        lines |= {entry['step']: entry for entry in read_entries(log) if 'loss' in entry}
    return lines


def _scalars(work_dir: Path) -> list[Path]:
    return sorted(work_dir.glob('*/vis_data/scalars.json'))


def _seconds_of(lines: dict[int, dict]) -> float:
    seconds, before = 0.0, 0
    for step in sorted(lines):
        seconds += (step - before) * lines[step]['time']
        before = step
    return seconds


def read_entries(log: Path) -> list[dict]:
    """The lines of a scalars.json, without one that was cut off when its run was killed."""
    entries = []
    for line in log.read_text(encoding='utf-8').splitlines():
        with suppress(json.JSONDecodeError):
            entries.append(json.loads(line))
    return entries
