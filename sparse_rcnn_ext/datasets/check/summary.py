"""The numbers of a check as plain dicts, for the JSON file and the tables."""

from collections import Counter

from .facts import SIZES, Facts
from .fates import BoxFate, ImageFate
from .image_files import DAMAGED, EMPTY, MISSING, NO_IMAGE, TOO_LARGE
from .run import CheckResult

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
