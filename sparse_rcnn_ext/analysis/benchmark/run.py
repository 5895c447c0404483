"""One word of the command line, or the whole fixed list, measured."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from .evaluation import measure_evaluation
from .inference import measure_inference
from .loading import measure_loading
from .matching import BOXES, PROPOSALS, measure_matching
from .memory import measure_memory
from .report import Reached, describe
from .result import Result
from .roi import measure_roi
from .rows import Row
from .settings import Setting, settle
from .shipped import measure_shipped
from .training_step import measure_training


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
