"""What is wrong between the classes of the config, the categories of the file, and the model."""

from collections.abc import Iterator, Sequence

import numpy as np
from mmengine.config import Config

from .facts import Facts
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
    wrong = [(name, count) for name, count in _walk(heads, 'model') if count != len(first.classes)]
    if wrong:
        setting, count = wrong[0]
        what = f'but {setting} = {count}'
        fix = f'set {setting} to {len(first.classes)}'
        where = f'{first.setting}.metainfo.classes'
        number = len(first.classes)
        yield Finding('num_classes', Level.ERROR, first.name, where, number, Noun.CLASS, what, fix)


def _walk(node: object, name: str) -> Iterator[tuple[str, int]]:
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, (list, tuple)) else ()
    for key, value in items:
        if key == 'num_classes' and isinstance(value, int):
            yield f'{name}.{key}', value
        yield from _walk(value, f'{name}.{key}')
