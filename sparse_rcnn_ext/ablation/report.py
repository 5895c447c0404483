"""A table as Markdown and as JSON."""

from collections.abc import Callable, Iterable

from .outcome import Experiment, Outcome
from .tables import Table

PAPER = 'AP on COCO val2017 with ResNet-50, 100 proposals and the 3x schedule'
NOTHING = '–'


def write_markdown(experiment: Experiment, outcomes: list[Outcome]) -> str:
    """The table, what its columns mean, and what went wrong."""
    table, seeds = experiment.table, experiment.seeds
    lines = [
        f'# {table.title}',
        '',
        f'Every row is `{experiment.recipe}` with one change, trained for {experiment.length} with '
        f'{len(seeds)} seed{"s" if len(seeds) > 1 else ""}.',
        '',
    ]
    columns = {
        '': [f'**{outcome.row.name}** (the recipe)' if outcome.is_base else outcome.row.name for outcome in outcomes],
        'AP': [_ap(outcome, len(seeds)) for outcome in outcomes],
        **_comparison(table, outcomes),
        **_costs(outcomes),
    }
    lines += [_line(columns), _line(['---', *['---:'] * (len(columns) - 1)]), *map(_line, zip(*columns.values()))]
    lines += ['', *_notes(experiment, outcomes)]
    for outcome in outcomes:
        for failure in outcome.failures:
            lines += ['', f'## Failed: {outcome.row.name}', '', '```', failure, '```']
    return '\n'.join(lines) + '\n'


def _line(cells: Iterable[str]) -> str:
    return f'| {" | ".join(cell.replace("|", "/") for cell in cells)} |'


def _ap(outcome: Outcome, num_seeds: int) -> str:
    if outcome.ap is None:
        return 'failed' if outcome.failures else NOTHING
    values = [result.ap for result in outcome.results]
    text = f'{outcome.ap:.1f}'
    if outcome.spread is not None:
        text += f' ± {outcome.spread:.1f}'
    elif len(values) > 1:
        text += f' ({min(values):.1f}–{max(values):.1f})'
    return text if len(values) == num_seeds else f'{text}, {len(values)} of {num_seeds} seeds'


def _comparison(table: Table, outcomes: list[Outcome]) -> dict[str, list[str]]:
    """What AP is to be held against: the paper, or the recipe where the paper says nothing."""
    if table.is_published:
        return {'AP in the paper': _cells((outcome.row.paper_ap for outcome in outcomes), '*{:.1f}*'.format)}
    if _recipe_row(outcomes) is None:
        return {}
    # Rounded first, and + 0.0: else a small loss reads -0.0.
    return {'gain': _cells(_gains(outcomes), lambda gain: f'{round(gain, 1) + 0.0:+.1f}')}


def _recipe_row(outcomes: list[Outcome]) -> Outcome | None:
    return next((outcome for outcome in outcomes if outcome.is_base), None)


def _gains(outcomes: list[Outcome]) -> list[float | None]:
    """AP over that of the recipe's row; None for that itself, and where one of the two has none."""
    recipe = _recipe_row(outcomes)
    return [None if outcome.is_base or recipe is None else outcome.gain_over(recipe) for outcome in outcomes]


def _costs(outcomes: list[Outcome]) -> dict[str, list[str]]:
    facts = [outcome.cost or {} for outcome in outcomes]
    return {
        'parameters': _cells((fact.get('parameters') for fact in facts), lambda value: f'{value / 1e6:.2f} M'),
        'GFLOPs': _cells((fact.get('flops') for fact in facts), lambda value: f'{value / 1e9:.2f}'),
        'a step': _cells((outcome.step_seconds for outcome in outcomes), _milliseconds),
        # 0 s is a training that logged nothing.
        'training': _cells((outcome.training_seconds or None for outcome in outcomes), duration),
        'latency': _cells((fact.get('latency_seconds') for fact in facts), _milliseconds),
    }


def _cells(values: Iterable[float | None], write: Callable[[float], str]) -> list[str]:
    return [NOTHING if value is None else write(value) for value in values]


def _milliseconds(seconds: float) -> str:
    return f'{seconds * 1e3:.1f} ms'


def duration(seconds: float) -> str:
    """Such as ``45 s``, ``3 min 05 s`` or ``7 h 12 min``."""
    whole = round(seconds)
    if whole < 60:
        return f'{whole} s'
    minutes, rest = divmod(whole, 60)
    return f'{minutes} min {rest:02d} s' if minutes < 60 else f'{minutes // 60} h {minutes % 60:02d} min'


def _notes(experiment: Experiment, outcomes: list[Outcome]) -> list[str]:
    if len(experiment.seeds) > 2:
        spread = 'mean ± standard deviation over the seeds'
    elif len(experiment.seeds) == 2:
        spread = 'mean over the seeds, and the least and the greatest'
    else:
        spread = 'of one seed'
    cost = next((outcome.cost for outcome in outcomes if outcome.cost), None)
    lines = [f'- AP: in per cent, {spread}.']
    if experiment.table.is_published:
        other = ' Here the data and the recipe are others: compare the order, not the numbers.'
        lines.append(
            f'- AP in the paper: as published, not measured here; {PAPER} (<{experiment.table.source}>).'
            f'{other if experiment.is_rebased else ""}'
        )
    else:
        if _recipe_row(outcomes):
            lines.append('- Gain: AP minus that of the recipe, mean over the seeds that both rows have.')
        lines.append(f'- Where the changes come from: <{experiment.table.source}>.')
    if cost:
        height, width = cost['size']
        lines.append(
            f'- GFLOPs: 10⁹ multiply-adds for one image of {height} × {width} pixels. '
            'Latency: the median for one such image.'
        )
        lines.append(
            '- A step: one iteration of the training with the wait for its data, the median over the log. '
            'Training: all iterations. Each of the seed that took least.'
        )
        devices = sorted({outcome.cost['device'] for outcome in outcomes if outcome.cost})
        lines.append(f'- Measured on: {"; ".join(devices)}.')
    return lines


def as_json(experiment: Experiment, outcomes: list[Outcome]) -> dict:
    """Everything behind the table; AP in per cent."""
    rows = [
        dict(
            name=outcome.row.name,
            config=outcome.row.config.name,
            is_base=outcome.is_base,
            paper_ap=outcome.row.paper_ap,
            ap=outcome.ap,
            ap_std=outcome.spread,
            gain=gain,
            step_seconds=outcome.step_seconds,
            training_seconds=outcome.training_seconds,
            runs=[result._asdict() for result in outcome.results],
            cost=outcome.cost,
            failures=outcome.failures,
        )
        for outcome, gain in zip(outcomes, _gains(outcomes))
    ]
    table = experiment.table
    return dict(
        table=table.name,
        title=table.title,
        source=table.source,
        paper_ap=PAPER if table.is_published else None,
        recipe=experiment.recipe,
        is_rebased=experiment.is_rebased,
        length=experiment.length,
        seeds=experiment.seeds,
        rows=rows,
    )
