"""What is wrong between the parts of a config: classes, files and model, and one data set and another."""

import os.path
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from mmdet.evaluation import CocoMetric as MMDetCocoMetric
from mmdet.evaluation import MultiDatasetsEvaluator
from mmengine.config import Config

from sparse_rcnn_ext.engine.config.config_parts import is_part, part_class, scope_of, walk_evaluators
from sparse_rcnn_ext.engine.config.paths import walk_datasets

from .facts import Facts, class_labels
from .finding import Finding, Level, Noun, some_names


def find_in_classes(facts: Facts) -> Iterator[Finding]:
    """Compare the names of one data set with those of its file."""
    source, categories = facts.source, facts.annotations.category_names
    setting = f'{source.setting}.metainfo.classes'

    def finding(key: str, level: Level, file: str, noun: Noun, names: Sequence[str], what: str, fix: str) -> Finding:
        return Finding(key, level, source.name, file, len(names), noun, what, fix, some_names(names))

    broken = facts.annotations.broken_categories
    if broken:
        what = 'of "categories" without an id or a name'
        fix = 'complete or remove the entries'
        yield finding('broken category', Level.ERROR, source.ann_file, Noun.ENTRY, broken, what, fix)
    missing = [name for name in source.classes if name not in categories]
    if missing:
        fix = f'write the names in {setting} as the file does ({", ".join(map(repr, categories)) or "it has none"})'
        what = 'of the config not among the categories'
        # An evaluation goes without, unless the file has objects of other names, which may be the same.
        unknown = ~np.isin(
            facts.annotations.category, [categories.index(name) for name in source.classes if name in categories]
        )
        may_lack = not source.trains and source.by_name and len(missing) < len(source.classes) and not unknown.any()
        level = Level.NOTE if may_lack else Level.ERROR
        yield finding('class missing', level, source.ann_file, Noun.CLASS, missing, what, fix)
    swapped = [
        f'{name} becomes {", ".join(source.classes[label : label + 1]) or "nothing"}'
        for name, label in zip(categories, facts.given_labels)
        if label >= 0 and source.classes[label : label + 1] != (name,)
    ]
    if swapped:
        fix = f"set {source.setting}.type to 'sparse_rcnn_ext.CocoDataset', which goes by the names"
        what = 'with the label of another class'
        yield finding('class swapped', Level.ERROR, source.ann_file, Noun.CATEGORY, swapped, what, fix)
    repeated = facts.annotations.repeated_categories
    if repeated:
        fix = 'keep one of each'
        yield finding('category repeated', Level.ERROR, source.ann_file, Noun.CATEGORY, repeated, 'listed again', fix)
    again = [name for place, name in enumerate(source.classes) if name in source.classes[:place]]
    if again:
        yield finding('class repeated', Level.ERROR, setting, Noun.CLASS, again, 'named again', 'name each class once')
    without = [
        name for name, count in zip(source.classes, facts.per_class(facts.kept)) if not count and name in categories
    ]
    if without and len(without) < len(source.classes):
        level = Level.WARNING if source.trains else Level.NOTE
        fix = 'add images with such objects, or shorten the classes'
        yield finding('class without boxes', level, source.ann_file, Noun.CLASS, without, 'without a box', fix)
    others = [name for name in categories if name not in source.classes]
    if others:
        fix = f'add what is wanted to {setting}'
        what = 'not among the classes of the config'
        yield finding('other category', Level.NOTE, source.ann_file, Noun.CATEGORY, others, what, fix)


def find_in_model(cfg: Config, all_facts: Sequence[Facts]) -> Iterator[Finding]:
    """Compare the classes of the data sets with each other, and their number with each ``num_classes`` of the model."""
    first = all_facts[0].source
    for source in (facts.source for facts in all_facts[1:]):
        if source.classes != first.classes:
            fix = f'make them the same as {first.setting}.metainfo.classes, in the same order'
            names = some_names(source.classes)
            what = f'that are not those of {first.name}'
            setting = f'{source.setting}.metainfo.classes'
            count = len(source.classes)
            yield Finding('classes differ', Level.ERROR, source.name, setting, count, Noun.CLASS, what, fix, names)
    # A backbone's own number counts something else.
    heads = {name: part for name, part in (cfg.get('model') or {}).items() if name != 'backbone'}
    wrong = [(name, count) for name, count in _walk_num_classes(heads, 'model') if count != len(first.classes)]
    if wrong:
        setting, count = wrong[0]
        what = f'but {setting} = {count}'
        fix = f'set {setting} to {len(first.classes)}'
        where = f'{first.setting}.metainfo.classes'
        number = len(first.classes)
        yield Finding('num_classes', Level.ERROR, first.name, where, number, Noun.CLASS, what, fix)


def _walk_num_classes(node: object, name: str) -> Iterator[tuple[str, int]]:
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, (list, tuple)) else ()
    for key, value in items:
        if key == 'num_classes' and isinstance(value, int):
            yield f'{name}.{key}', value
        yield from _walk_num_classes(value, f'{name}.{key}')


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
                metrics = [metric for metric, node in zip(metrics, nodes) if _reads_file_of(node, facts)]
            for setting, metric in metrics:
                if is_part(metric, MMDetCocoMetric, section, scope) and 'ann_file' in metric:
                    is_mmdets = part_class(metric, section, scope) is MMDetCocoMetric
                    yield from _find_in_coco_metric(metric, is_mmdets, setting, facts)


def _reads_file_of(dataset: dict, facts: Facts) -> bool:
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
