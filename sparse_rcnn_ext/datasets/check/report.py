"""The numbers of a check as plain dicts, for the JSON file, and as tables of plain text."""

from collections import Counter
from collections.abc import Sequence

from sparse_rcnn_ext.datasets.image_files import DAMAGED, EMPTY, MISSING, NO_IMAGE, TOO_LARGE

from .facts import SIZES, BoxFate, Facts, ImageFate
from .finding import Level
from .run import CheckResult

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


PROBLEMS = (MISSING, EMPTY, DAMAGED, NO_IMAGE, TOO_LARGE)


def summarise(result: CheckResult) -> dict:
    """Everything that was counted and found, fit for JSON."""
    fix = result.first_fix
    return dict(
        failed=result.failed,
        first_fix=fix.sentence() if fix else None,
        num_proposals=result.num_proposals,
        datasets=[summarise_dataset(facts) for facts in result.facts],
        findings=[
            dict(
                key=finding.key,
                level=finding.level.value,
                dataset=finding.where,
                file=finding.file,
                count=finding.count,
                text=finding.text(),
                fix=finding.fix,
            )
            for finding in result.findings
        ],
        reading=dict(
            files=len(result.reading.files),
            bytes=sum(file.num_bytes for file in result.reading.files.values()),
            seconds=round(result.reading.seconds, 3),
            threads=result.reading.threads,
        ),
    )


def summarise_dataset(facts: Facts) -> dict:
    """Counts of images and boxes, by reason, by class and by size."""
    source = facts.source
    per_image = facts.boxes_per_image()
    fates = Counter(facts.image_fate)
    problems = Counter(file.problem for file in facts.files.values())
    box_fates = Counter(facts.box_fate)
    return dict(
        name=source.name,
        setting=source.setting,
        ann_file=source.ann_file,
        image_folder=source.image_folder,
        network_scale=source.scale,
        images=dict(
            listed=len(facts.image_fate),
            **{fate.value: fates[fate] for fate in ImageFate},
            **{'used, without boxes': int((per_image == 0).sum())},
            **{f'used, {problem}': problems[problem] for problem in PROBLEMS},
        ),
        boxes=dict(listed=len(facts.box_fate), **{fate.value: box_fates[fate] for fate in BoxFate}),
        boxes_per_image=dict(
            mean=round(float(per_image.mean()), 3) if len(per_image) else 0.0, most=int(per_image.max(initial=0))
        ),
        classes=_summarise_classes(facts),
    )


def _summarise_classes(facts: Facts) -> dict[str, dict]:
    kept, all_boxes = facts.per_class(facts.kept), facts.per_class(facts.class_of >= 0)
    sizes = facts.per_class_and_size(facts.annotations.area)
    areas = facts.network_areas()
    scaled = None if areas is None else facts.per_class_and_size(areas)
    return {
        name: dict(
            kept=int(kept[label]),
            dropped=int(all_boxes[label] - kept[label]),
            sizes=dict(zip(SIZES, sizes[label].tolist())),
            network_sizes=None if scaled is None else dict(zip(SIZES, scaled[label].tolist())),
        )
        for label, name in enumerate(facts.source.classes)
    }
