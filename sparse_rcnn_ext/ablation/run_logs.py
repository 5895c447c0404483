"""What mmengine's log files say of a run."""

import json
from contextlib import suppress
from pathlib import Path


def read_metrics(work_dir: Path) -> dict[str, float]:
    """The numbers of the last test whose log lies in ``work_dir``."""
    # A test leaves TIME/TIME.json, and a training nothing of that name.
    newest = max(path for path in work_dir.glob('*/*.json') if path.stem == path.parent.name)
    return {name: value for name, value in json.loads(newest.read_text()).items() if isinstance(value, (int, float))}


def training_seconds(work_dir: Path) -> float:
    """Time of all iterations of a training, which may have been interrupted and resumed.

    Each line of the log has the mean time of the iterations before it; what was trained twice counts once.
    """
    times = {}
    for log in sorted(work_dir.glob('*/vis_data/scalars.json')):
        times |= {entry['step']: entry['time'] for entry in read_entries(log) if 'loss' in entry}
    seconds, before = 0.0, 0
    for step in sorted(times):
        seconds += (step - before) * times[step]
        before = step
    return seconds


def read_entries(log: Path) -> list[dict]:
    """The lines of a scalars.json, without one that was cut off when its run was killed."""
    entries = []
    for line in log.read_text(encoding='utf-8').splitlines():
        with suppress(json.JSONDecodeError):
            entries.append(json.loads(line))
    return entries
