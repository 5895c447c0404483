"""A table as Markdown and as JSON."""

from .outcome import Experiment, Outcome

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
        '| | AP | AP in the paper | parameters | GFLOPs | training | latency |',
        '| --- | ---: | ---: | ---: | ---: | ---: | ---: |',
    ]
    for outcome in outcomes:
        name = f'**{outcome.row.name}** (the recipe)' if outcome.is_base else outcome.row.name
        paper = NOTHING if outcome.row.paper_ap is None else f'*{outcome.row.paper_ap:.1f}*'
        cells = [name, _ap(outcome, len(seeds)), paper, *_costs(outcome)]
        lines.append(f'| {" | ".join(cell.replace("|", "/") for cell in cells)} |')
    lines += ['', *_notes(experiment, outcomes)]
    for outcome in outcomes:
        for failure in outcome.failures:
            lines += ['', f'## Failed: {outcome.row.name}', '', '```', failure, '```']
    return '\n'.join(lines) + '\n'


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


def _costs(outcome: Outcome) -> list[str]:
    cost = outcome.cost
    training = outcome.training_seconds
    return [
        f'{cost["parameters"] / 1e6:.2f} M' if cost else NOTHING,
        f'{cost["flops"] / 1e9:.2f}' if cost else NOTHING,
        duration(training) if training else NOTHING,
        f'{cost["latency_seconds"] * 1e3:.1f} ms' if cost else NOTHING,
    ]


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
    if any(outcome.row.paper_ap is not None for outcome in outcomes):
        other = ' Here the data and the recipe are others: compare the order, not the numbers.'
        lines.append(
            f'- AP in the paper: as published, not measured here; {PAPER} (<{experiment.table.source}>).'
            f'{other if experiment.is_rebased else ""}'
        )
    else:
        lines.append(f'- The paper has no numbers for this table; its source is <{experiment.table.source}>.')
    if cost:
        height, width = cost['size']
        lines.append(
            f'- GFLOPs: 10⁹ multiply-adds for one image of {height} × {width} pixels. '
            f'Latency: the median for one such image. Training: the iterations of the fastest seed.'
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
            training_seconds=outcome.training_seconds,
            runs=[result._asdict() for result in outcome.results],
            cost=outcome.cost,
            failures=outcome.failures,
        )
        for outcome in outcomes
    ]
    table = experiment.table
    return dict(
        table=table.name,
        title=table.title,
        source=table.source,
        paper_ap=PAPER,
        recipe=experiment.recipe,
        is_rebased=experiment.is_rebased,
        length=experiment.length,
        seeds=experiment.seeds,
        rows=rows,
    )
