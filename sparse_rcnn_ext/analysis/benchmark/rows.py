"""The fixed list of comparisons, with what each is to reach; one of them, or all, measured."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from .evaluation import PEAK as NUMBERS_PEAK
from .evaluation import WHOLE as NUMBERS
from .evaluation import measure_evaluation
from .inference import WHOLE as IMAGE
from .inference import measure_inference
from .loading import BUILD, measure_loading
from .loading import PEAK as BUILD_PEAK
from .operations import BOXES, PROPOSALS, measure_matching, measure_roi
from .operations import WHOLE as ROI
from .processes import PEAK, PROCESS, measure_memory, measure_shipped
from .settings import Setting, describe, settle
from .timing import BYTES, Comparison, Result
from .training_step import STEP, measure_training


class Row(NamedTuple):
    """One line of the table."""

    name: str
    what: str
    """The word of the command line."""
    setting: Setting
    comparison: str
    """Which of the measured quantities."""
    target: float | None
    """The least ratio; for memory, the greatest share; None: nothing was promised."""


class Reached(NamedTuple):
    """A row of the fixed list and what came of it."""

    row: Row
    comparison: Comparison

    @property
    def is_met(self) -> bool | None:
        """Whether the target was reached; None where there is none."""
        if self.row.target is None:
            return None
        ratio = self.comparison.ratio
        return ratio <= self.row.target if self.comparison.unit == BYTES else ratio >= self.row.target


LITE0 = Setting(model='lite0', size=(320, 416), batch=4, proposals=100, stages=6)
R50 = Setting(model='r50', size=(640, 640), batch=2, proposals=100, stages=6)
HALF = replace(R50, ours_dtype='bfloat16', channels_last=True)
ONE = replace(R50, batch=1, rounds=9)
FAST = replace(ONE, channels_last=True, fuse_conv_bn=True)
MATCHING = Setting(batch=16, stages=6, rounds=9)
MATCHED = '300 proposals, 30 boxes'
ON_CUDA = dict(device='cuda', rounds=20)

ROWS: tuple[Row, ...] = (
    Row('Training step, Lite0, 416×320, batch 4', 'shipped', LITE0, STEP, 2.0),
    Row('Training step, Lite0, 416×320, batch 4, code alone', 'train', LITE0, STEP, None),
    Row('Training step, R50, 640×640, batch 2', 'shipped', R50, STEP, 1.25),
    Row('Training step, R50, 640×640, batch 2, code alone', 'train', R50, STEP, None),
    Row("Training step, R50, 640×640, batch 2, ours in bf16, mmdet's in float32", 'shipped', HALF, STEP, 2.2),
    Row('RoI features of 6 stages, forward and backward, 640×640, batch 2', 'roi', R50, ROI, 7.0),
    Row('Inference, R50, 640×640, batch 1', 'inference', ONE, IMAGE, 1.2),
    Row('Inference, R50, 640×640, batch 1, ours compiled', 'inference', replace(FAST, compile=True), IMAGE, None),
    Row(
        'Inference, R50, 640×640, batch 1, ours in bf16',
        'inference',
        replace(FAST, ours_dtype='bfloat16'),
        IMAGE,
        2.0,
    ),
    Row(
        'Inference, R50, 640×640, batch 1, ours compiled in bf16',
        'inference',
        replace(FAST, ours_dtype='bfloat16', compile=True),
        IMAGE,
        None,
    ),
    Row('Matching of 16 images, 6 stages, 300 proposals, 30 boxes', 'matching', MATCHING, MATCHED, 2.0),
    Row('Peak memory of a training step, R50, 640×640, batch 2', 'memory', replace(R50, rounds=1), PEAK, 0.85),
    Row('Peak memory of a training step, Lite0, 416×320, batch 4', 'memory', replace(LITE0, rounds=1), PEAK, 0.85),
    Row(
        'Peak memory of a training step, R50, 640×640, batch 2, with_cp',
        'memory',
        replace(R50, rounds=1, with_cp=True),
        PEAK,
        0.85,
    ),
    Row(
        'Peak memory of a training step, Lite0, 416×320, batch 4, with_cp',
        'memory',
        replace(LITE0, rounds=1, with_cp=True),
        PEAK,
        0.85,
    ),
    Row('Training step, R50, 640×640, batch 2, with_cp', 'shipped', replace(R50, with_cp=True), STEP, 1.25),
    Row('Training step, Lite0, 416×320, batch 4, with_cp', 'shipped', replace(LITE0, with_cp=True), STEP, 2.0),
    Row('Process of such training, R50, 640×640, batch 2', 'shipped', R50, PROCESS, None),
    Row('Process of such training, Lite0, 416×320, batch 4', 'shipped', LITE0, PROCESS, None),
    Row('COCO evaluation, 500 images', 'evaluation', Setting(rounds=3), NUMBERS, 40.0),
    Row('Building a data set of the size of COCO', 'loading', Setting(rounds=3), BUILD, 4.0),
    Row('Peak memory of building it', 'loading', Setting(rounds=3), BUILD_PEAK, 0.5),
    Row('Peak memory of a COCO evaluation, 500 images', 'evaluation', Setting(rounds=3), NUMBERS_PEAK, 0.5),
    Row(
        'CUDA: training step in bf16, R50, 640×640, batch 16',
        'train',
        replace(R50, **ON_CUDA, batch=16, dtype='bfloat16'),
        STEP,
        1.5,
    ),
    Row('CUDA: inference, R50, 640×640, batch 1', 'inference', replace(ONE, **ON_CUDA), IMAGE, None),
    Row(
        'CUDA: inference, R50, 640×640, batch 1, ours compiled',
        'inference',
        replace(FAST, **ON_CUDA, compile=True),
        IMAGE,
        4.0,
    ),
    Row(
        'CUDA: inference, R50, 640×640, batch 1, ours compiled in bf16',
        'inference',
        replace(FAST, **ON_CUDA, ours_dtype='bfloat16', compile=True),
        IMAGE,
        4.0,
    ),
    Row(
        'CUDA: matching of 16 images, 6 stages, 300 proposals, 30 boxes',
        'matching',
        replace(MATCHING, **ON_CUDA),
        MATCHED,
        5.0,
    ),
    Row('CUDA: RoI features of 6 stages, forward and backward, batch 2', 'roi', replace(R50, **ON_CUDA), ROI, None),
    Row(
        'CUDA: peak memory of a training step in bf16, R50, 640×640, batch 16',
        'memory',
        replace(R50, device='cuda', batch=16, dtype='bfloat16', rounds=1),
        PEAK,
        0.85,
    ),
)


def rows_for(device: str) -> list[Row]:
    """The rows that are measured on ``'cpu'`` or ``'cuda'``."""
    return [row for row in ROWS if row.setting.device == device]


def measure(what: str, setting: Setting) -> Result:
    """Measure a word of the command line but ``growth`` and ``all``.

    Matching is measured at all of :data:`PROPOSALS` and :data:`BOXES`.

    Raises:
        UserError: If the setting cannot be, or the two do not compute the same.
    """
    setting = settle(setting)
    if what == 'matching':
        grid = [replace(setting, proposals=proposals, boxes=boxes) for proposals in PROPOSALS for boxes in BOXES]
        return measure_matching(grid)
    kinds = dict(
        train=measure_training,
        shipped=measure_shipped,
        roi=measure_roi,
        inference=measure_inference,
        memory=measure_memory,
        evaluation=measure_evaluation,
        loading=measure_loading,
    )
    return kinds[what](setting)


def measure_rows(rows: Sequence[Row], say: Callable[[str], None]) -> tuple[list[Reached], list[Result]]:
    """Measure rows of the fixed list; what several need is measured once.

    Args:
        rows: Some of :data:`ROWS`.
        say: Told what comes next, and what came of it.
    """
    results: dict[tuple[str, Setting], Result] = {}
    reached = []
    for number, row in enumerate(rows, 1):
        say(f'{number}/{len(rows)} {row.name} ({describe(row.setting)})')
        key = row.what, row.setting
        if key not in results:
            results[key] = measure(*key)
        reached.append(Reached(row, results[key].comparison(row.comparison)))
        say(f'    {reached[-1].comparison.ratio:.2f} × (target {row.target})')
    return reached, list(results.values())
