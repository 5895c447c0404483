"""What is wrong between the data sets of a config."""

import os.path
from collections.abc import Iterator, Sequence
from dataclasses import replace

from mmdet.evaluation import CocoMetric as MMDetCocoMetric
from mmdet.evaluation import MultiDatasetsEvaluator
from mmengine.config import Config

from sparse_rcnn_ext.engine.config.config_parts import is_part, part_class, scope_of, walk_evaluators
from sparse_rcnn_ext.engine.config.paths import walk_datasets

from .facts import Facts
from .fates import class_labels
from .finding import Finding, Level, Noun, some_names


def find_between_splits(all_facts: Sequence[Facts]) -> Iterator[Finding]:
    """Images that are both learned and tested on."""
    trained = [facts for facts in all_facts if facts.source.trains]
    for tested in all_facts:
        if tested.source.trains:
            continue
        for learned in trained:
            yield from _find_leak(learned, tested)


def _find_leak(learned: Facts, tested: Facts) -> Iterator[Finding]:
    contents = learned.images_by_content()
    by_content = tested.images_by_content()
    leaked = [index for content, group in by_content.items() if content in contents for index in group]
    names = [tested.annotations.images[index].file_name for index in leaked]
    if leaked:
        yield Finding(
            'image in train too',
            Level.WARNING,
            tested.source.name,
            tested.source.ann_file,
            len(leaked),
            Noun.IMAGE,
            f'with the same content as one of {learned.source.name}',
            'keep each picture in one of the two: the AP would be too good',
            some_names(names),
        )
    same_names = {learned.annotations.images[index].file_name for group in contents.values() for index in group}
    rest = [index for group in by_content.values() for index in group if index not in set(leaked)]
    names = [tested.annotations.images[index].file_name for index in rest]
    names = [name for name in names if name in same_names]
    if names:
        yield Finding(
            'image name in train too',
            Level.NOTE,
            tested.source.name,
            tested.source.ann_file,
            len(names),
            Noun.IMAGE,
            f'with the name, not the content, of one of {learned.source.name}',
            'see whether these are other versions of the same pictures',
            some_names(names),
        )


def find_in_evaluators(cfg: Config, all_facts: Sequence[Facts]) -> Iterator[Finding]:
    """What COCO's evaluation stumbles over, or compares with by mistake."""
    scope = scope_of(cfg)
    for facts in all_facts:
        for split in facts.source.splits:
            section = f'{split}_evaluator'
            evaluator = cfg.get(section)
            metrics = list(walk_evaluators(evaluator, section))
            if isinstance(evaluator, dict) and is_part(evaluator, MultiDatasetsEvaluator, section, scope):
                # It has a metric for each data set.
                nodes = [node for _, node in walk_datasets(cfg.get(f'{split}_dataloader'), '')]
                metrics = [metric for metric, node in zip(metrics, nodes) if _reads(node, facts)]
            for setting, metric in metrics:
                if is_part(metric, MMDetCocoMetric, section, scope) and 'ann_file' in metric:
                    is_mmdets = part_class(metric, section, scope) is MMDetCocoMetric
                    yield from _find_in_coco_metric(metric, is_mmdets, setting, facts)


def _reads(dataset: dict, facts: Facts) -> bool:
    ann_file = os.path.join(dataset.get('data_root') or '', dataset.get('ann_file') or '')  # noqa: PTH118
    return ann_file == facts.source.ann_file


def _find_in_coco_metric(evaluator: dict, is_mmdets: bool, setting: str, facts: Facts) -> Iterator[Finding]:
    source, annotations, ann_file = facts.source, facts.annotations, evaluator['ann_file']

    def finding(key: str, level: Level, file: str, count: int, noun: Noun, what: str, fix: str) -> Finding:
        return Finding(key, level, source.name, file, count, noun, what, fix)

    # Without a file of its own the metric writes one that has nothing of these.
    if ann_file is None:
        return
    if os.path.abspath(ann_file) != os.path.abspath(source.ann_file):  # noqa: PTH100
        what, fix = f'other than that of the data set: {ann_file}', f'set it to {source.ann_file}'
        file = f'{setting}.ann_file'
        yield finding('other file in the evaluator', Level.WARNING, file, 1, Noun.FILE, what, fix)
    elif is_mmdets:
        ours = f"set {setting}.type to 'sparse_rcnn_ext.CocoMetric'"
        lacking = int((annotations.no_crowd | annotations.no_area).sum())
        if lacking:
            what, fix = 'without iscrowd or area, at which the evaluation stops', f'add both, or {ours}'
            yield finding('no iscrowd or area', Level.ERROR, source.ann_file, lacking, Noun.BOX, what, fix)
        ignored = int(annotations.ignore.sum())
        if ignored:
            what, fix = 'marked "ignore", which the evaluation counts as missed', f'mark them as iscrowd, or {ours}'
            yield finding('"ignore" in evaluation', Level.ERROR, source.ann_file, ignored, Noun.BOX, what, fix)
        if annotations.numbered_0.any():
            what = 'with the id 0: the evaluation takes a detection that matches it for a mistake'
            fix = f'number the annotations from 1, or {ours}'
            yield finding('box with the id 0', Level.ERROR, source.ann_file, 1, Noun.BOX, what, fix)
        by_order = class_labels(replace(source, by_name=False), annotations)
        swapped = int((by_order != class_labels(replace(source, by_name=True), annotations)).sum())
        if swapped:
            what, fix = 'that the evaluation takes for another', f'{ours}, which goes by the names'
            yield finding(
                'category swapped in evaluation', Level.ERROR, source.ann_file, swapped, Noun.CATEGORY, what, fix
            )
