"""Measurements as Markdown and as JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from statistics import median
from typing import NamedTuple

from .result import Result
from .rows import Row
from .settings import Setting
from .timing import BYTES, Comparison

UNITS = {'s': ((1.0, 's'), (1e-3, 'ms'), (1e-6, 'µs')), BYTES: ((1 << 30, 'GiB'), (1 << 20, 'MiB'), (1 << 10, 'KiB'))}
HEAD = '| | mmdet | ours | ratio |\n| --- | ---: | ---: | ---: |'
TARGETS_HEAD = '| | mmdet | ours | ratio | target | |\n| --- | ---: | ---: | ---: | ---: | --- |'
RATIO_NOTE = (
    'Medians, with the least and the greatest in brackets; both sides were measured in turns. '
    "A ratio of times is mmdet's by ours, so above 1 ours is faster; a ratio of memory is ours by mmdet's."
)


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


def write_markdown(
    facts: dict[str, str], results: Sequence[Result], reached: Sequence[Reached] = (), charts: Sequence[str] = ()
) -> str:
    """The whole report.

    Args:
        facts: Of the machine, by name.
        results: A section each.
        reached: Rows of the fixed list, which come first.
        charts: Files beside the report.
    """
    lines = ['# Benchmark: ours and mmdet’s own SparseRCNN', '']
    lines += [f'- {name}: {value}' for name, value in facts.items()]
    lines += ['', RATIO_NOTE, '']
    if reached:
        lines += [
            '## Targets',
            '',
            '| | mmdet | ours | ratio | target | |',
            '| --- | ---: | ---: | ---: | ---: | --- |',
        ]
        lines += [f'| {row.row.name} | {" | ".join(_cells(row.comparison))} | {_target(row)} |' for row in reached]
        lines.append('')
    for result in results:
        lines += [f'## {heading(result)}', '', HEAD]
        lines += [f'| {found.name} | {" | ".join(_cells(found))} |' for found in result.comparisons]
        lines += ['', *(f'{note}\n' for note in result.notes)]
    lines += [f'![{chart}]({chart})\n' for chart in charts]
    return '\n'.join(lines).rstrip() + '\n'


def heading(result: Result) -> str:
    """What a section is about."""
    title = (
        result.title
        if result.what in ('evaluation', 'loading')
        else ', '.join(filter(None, [result.title, _own(result)]))
    )
    return f'{result.what}: {title}'


def _own(result: Result) -> str:
    setting = result.setting
    left_out = ('proposals', 'boxes', 'batch') if result.what == 'matching' else ()
    return describe(setting, left_out)


def describe(setting: Setting, left_out: Sequence[str] = ()) -> str:
    """A setting in words, without some of its facts."""
    height, width = setting.size
    words = dict(
        model=setting.model,
        size=f'{width}×{height}',
        batch=f'batch {setting.batch}',
        proposals=f'{setting.proposals} proposals',
        stages=f'{setting.stages} stages',
        boxes=f'{setting.boxes} boxes an image',
        device=setting.device.upper(),
        dtype=setting.dtype,
    )
    text = ', '.join(word for name, word in words.items() if name not in left_out)
    return f'{text}; ours {setting.our_options}' if setting.our_options else text


def _cells(comparison: Comparison) -> list[str]:
    sides = [_spread(comparison.theirs, comparison.unit), _spread(comparison.ours, comparison.unit)]
    return [*sides, f'{comparison.ratio:.2f} ×']


def _spread(values: Sequence[float], unit: str) -> str:
    """Such as ``1.24 s (1.20–1.31)``."""
    middle = median(values)
    scale, name = next((pair for pair in UNITS[unit] if middle >= pair[0]), UNITS[unit][-1])
    text = f'{_round(middle / scale)} {name}'
    if len(values) > 1:
        text += f' ({_round(min(values) / scale)}–{_round(max(values) / scale)})'
    return text


def _round(value: float) -> str:
    """Three digits that count, and no exponent."""
    return f'{value:.0f}' if value >= 99.95 else f'{value:.1f}' if value >= 9.995 else f'{value:.2f}'


def _target(reached: Reached) -> str:
    if reached.is_met is None:
        return '– | '
    sign = '≤' if reached.comparison.unit == BYTES else '≥'
    return f'{sign} {reached.row.target:g} × | {"met" if reached.is_met else "**missed**"}'


def as_json(facts: dict[str, str], results: Sequence[Result], reached: Sequence[Reached] = ()) -> dict:
    """Everything that was measured; seconds and bytes."""
    return dict(
        machine=facts,
        targets=[
            dict(
                name=row.row.name,
                what=row.row.what,
                setting=asdict(row.row.setting),
                target=row.row.target,
                met=row.is_met,
                **_as_json(row.comparison),
            )
            for row in reached
        ],
        results=[
            dict(
                what=result.what,
                title=result.title,
                setting=asdict(result.setting),
                notes=result.notes,
                comparisons=[dict(name=found.name, **_as_json(found)) for found in result.comparisons],
            )
            for result in results
        ],
    )


def _as_json(comparison: Comparison) -> dict:
    return dict(
        unit=comparison.unit,
        ratio=comparison.ratio,
        ours_median=median(comparison.ours),
        mmdet_median=median(comparison.theirs),
        ours=comparison.ours,
        mmdet=comparison.theirs,
    )
