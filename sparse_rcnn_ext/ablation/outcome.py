"""What came out of a row: its runs, what they cost, what went wrong, and what mmengine's log files say of each."""

import json
from contextlib import suppress
from pathlib import Path
from statistics import mean, median, stdev
from typing import NamedTuple

from sparse_rcnn_ext.errors import UserError

from .tables import Row, Table

RESULT_FILE = 'result.json'
COST_FILE = 'cost.json'


class Result(NamedTuple):
    """One training with one seed, and its test."""

    seed: int
    ap: float
    """In per cent."""
    training_seconds: float
    """Of the iterations, without start and checkpoints."""
    metrics: dict[str, float]
    """All that the test says."""
    step_seconds: float | None = None
    """Of one iteration of the training, the median; None where that was not kept, as in older files."""
    curve: list[list[float]] = []
    """Validations while it trained: epoch or iteration, seconds of training until then, AP in per cent."""


class Outcome(NamedTuple):
    """One row."""

    row: Row
    is_base: bool
    """Whether the row is the recipe itself."""
    results: list[Result]
    cost: dict | None
    """What tools/analysis/flops.py says of the row's config."""
    failures: list[str]

    @property
    def ap(self) -> float | None:
        """Mean over the seeds."""
        return mean(result.ap for result in self.results) if self.results else None

    @property
    def spread(self) -> float | None:
        """Standard deviation over the seeds (n − 1); None below three, where least and greatest say more."""
        return stdev(result.ap for result in self.results) if len(self.results) > 2 else None

    @property
    def training_seconds(self) -> float | None:
        """The shortest of the seeds: whatever else the machine did can only have made the others longer."""
        return min((result.training_seconds for result in self.results), default=None)

    @property
    def step_seconds(self) -> float | None:
        """The least of the seeds, for the same reason."""
        known = [result.step_seconds for result in self.results if result.step_seconds is not None]
        return min(known, default=None)

    def gain_over(self, other: 'Outcome') -> float | None:
        """By how much AP is greater, over the seeds that both rows have; None where they share none."""
        theirs = {result.seed: result.ap for result in other.results}
        gains = [result.ap - theirs[result.seed] for result in self.results if result.seed in theirs]
        return mean(gains) if gains else None


class Experiment(NamedTuple):
    """What all rows were run with."""

    table: Table
    recipe: str
    """The config that all rows change."""
    is_rebased: bool
    """Whether that is another one than the rows name."""
    length: str
    """How long each trains, such as ``12 epochs``."""
    seeds: list[int]


def write_json(path: Path, content: object) -> None:
    """Write a file so that it is whole or not there."""
    fresh = path.with_name(f'.{path.name}')
    fresh.write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding='utf-8')
    fresh.replace(path)


def read_result(folder: Path) -> Result | None:
    """The result that lies in the folder of a run; None where it is not finished."""
    path = folder / RESULT_FILE
    return Result(**json.loads(path.read_text(encoding='utf-8'))) if path.is_file() else None


def read_cost(folder: Path) -> dict | None:
    """What was measured of the row with this folder; None where nothing was."""
    path = folder / COST_FILE
    return json.loads(path.read_text(encoding='utf-8')) if path.is_file() else None


def pick_ap(metrics: dict[str, float]) -> float:
    """AP in per cent: COCO's, or that of the metric that the test has in its place.

    Raises:
        UserError: If there is none.
    """
    ap = find_ap(metrics)
    if ap is None:
        raise UserError(f'the test gave no AP ({", ".join(metrics) or "nothing"}): set test_evaluator to a CocoMetric')
    return ap


def find_ap(metrics: dict[str, float]) -> float | None:
    """AP in per cent as in :func:`pick_ap`; None where there is none."""
    for ending in ('bbox_mAP', '/mAP'):
        for name, value in metrics.items():
            if name.endswith(ending):
                return 100 * value
    return None


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
