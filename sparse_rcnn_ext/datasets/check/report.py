"""The tables of a check, as plain text."""

from collections.abc import Sequence

from .finding import Level
from .run import CheckResult
from .summary import summarise

_GAP = '  '


def write_report(result: CheckResult) -> str:
    """All tables, all findings, and in the last line the first fix to make."""
    facts = summarise(result)
    datasets = facts['datasets']
    parts = [_dataset_part(dataset) for dataset in datasets]
    names = [dataset['name'] for dataset in datasets]
    for kind in ('images', 'boxes'):
        rows = [[key, *(dataset[kind][key] for dataset in datasets)] for key in datasets[0][kind]]
        parts.append(format_table([kind, *names], rows))
    parts.append(result.reading.speed())
    if result.findings:
        parts.append('\n'.join(_finding_lines(result)))
    fix = result.first_fix
    parts.append(f'First fix: {fix.sentence()}' if fix else 'Nothing to fix.')
    return '\n\n'.join(parts)


def format_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as they have to be: the first to the left, numbers to the right, zeros as dots."""
    cells = [list(header)] + [[_cell(value) for value in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = [
        _GAP.join(cell.rjust(width) if column else cell.ljust(width) for column, (cell, width) in enumerate(pairs))
        for pairs in (list(zip(row, widths)) for row in cells)
    ]
    rule = _GAP.join('-' * width for width in widths)
    return '\n'.join(line.rstrip() for line in (lines[0], rule, *lines[1:]))


def _cell(value: object) -> str:
    return '·' if value == 0 else f'{value:,}' if isinstance(value, int) else str(value)


def _dataset_part(dataset: dict) -> str:
    images, boxes, per_image = dataset['images'], dataset['boxes'], dataset['boxes_per_image']
    scale = dataset['network_scale']
    head = [
        f'{dataset["name"]}: {dataset["ann_file"]}, images in {dataset["image_folder"] or "."}',
        f'{images["used"]:,} of {images["listed"]:,} images used, {boxes["kept"]:,} of {boxes["listed"]:,} boxes kept, '
        f'{per_image["mean"]:.1f} an image, at most {per_image["most"]}',
    ]
    header = ['class', 'boxes kept', 'small', 'medium', 'large']
    if scale:
        header += [f'at {scale[0]}x{scale[1]}: small', 'medium', 'large']
    rows = []
    for name, counts in dataset['classes'].items():
        sizes = [counts['sizes'], counts['network_sizes']] if scale else [counts['sizes']]
        rows.append([name, counts['kept'], *(count for size in sizes for count in size.values()), counts['dropped']])
    if len(rows) > 1:
        rows.append(['all', *(sum(column) for column in list(zip(*rows))[1:])])
    return '\n'.join([*head, '', format_table([*header, 'dropped'], rows)])


def _finding_lines(result: CheckResult) -> list[str]:
    width = max(len(finding.where) for finding in result.findings)
    return [
        f'{level.value:<7}{_GAP}{finding.where:<{width}}{_GAP}{finding.text()}'
        for level in Level
        for finding in result.findings
        if finding.level is level
    ]
