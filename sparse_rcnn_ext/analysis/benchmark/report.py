"""Measurements, and the machine they were made on, as Markdown and as JSON."""

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import mmcv
import mmdet
import mmengine
import torch
import torchvision

from sparse_rcnn_ext.import_hooks import PORTABLE_OPS
from sparse_rcnn_ext.portable_ops import PortableOpsLoader

from .rows import Reached
from .settings import describe
from .timing import BYTES, Comparison, Result

UNITS = {'s': ((1.0, 's'), (1e-3, 'ms'), (1e-6, 'µs')), BYTES: ((1 << 30, 'GiB'), (1 << 20, 'MiB'), (1 << 10, 'KiB'))}
HEAD = '| | mmdet | ours | ratio |\n| --- | ---: | ---: | ---: |'
TARGETS_HEAD = '| | mmdet | ours | ratio | target | |\n| --- | ---: | ---: | ---: | ---: | --- |'
RATIO_NOTE = (
    'Medians, with the least and the greatest in brackets; both sides were measured in turns. '
    "A ratio of times is mmdet's by ours, so above 1 ours is faster; a ratio of memory is ours by mmdet's."
)


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


def machine_facts(device: str) -> dict[str, str]:
    """What a reader needs to judge or repeat a measurement, by name.

    Args:
        device: ``'cpu'`` or ``'cuda'``.
    """
    facts = dict(date=datetime.now().strftime('%Y-%m-%d %H:%M'))
    if device == 'cuda':
        facts['GPU'] = f'{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}'
    threads = torch.get_num_threads()
    facts['CPU'] = f'{_cpu()}, {os.cpu_count()} cores, {threads} thread{"s" if threads > 1 else ""}'
    if hasattr(os, 'getloadavg'):
        facts['load'] = f'{os.getloadavg()[0]:.1f} in the minute before'
    is_portable = isinstance(find_spec(PORTABLE_OPS).loader, PortableOpsLoader)
    modules = (torch, torchvision, mmdet, mmengine, mmcv)
    facts['versions'] = ', '.join(
        [f'Python {platform.python_version()}', *(f'{module.__name__} {module.__version__}' for module in modules)]
    )
    facts["mmcv's operators"] = "torchvision's" if is_portable else 'compiled'
    return facts


def _cpu() -> str:
    info = Path('/proc/cpuinfo')
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(':')[2].strip() for line in lines if line.startswith('model name')]
    return names[0] if names else platform.machine()
