"""What is wrong with the boxes of a data set."""

from collections.abc import Iterator

import numpy as np

from .facts import BoxFate, Facts
from .finding import Finding, Level, Noun, some_names

# How far a box may reach over the border before it is told, in pixels: rounding makes up to one.
OVER_BORDER = 1.0

# What to say of dropped boxes, and what to do.
_DROPPED = {
    BoxFate.UNKNOWN: (
        Level.WARNING,
        'of a category that the file does not list',
        'list the category, or correct category_id',
    ),
    BoxFate.NO_IMAGE: (
        Level.WARNING,
        'of an image that the file does not list',
        'list the image, or remove the entries',
    ),
    BoxFate.NOT_FINITE: (Level.WARNING, 'with NaN or an infinite number in bbox', 'correct or remove the entries'),
    BoxFate.NO_AREA: (Level.WARNING, 'of zero area', 'correct or remove the entries; bbox is left, top, width, height'),
    BoxFate.OUTSIDE: (
        Level.WARNING,
        'wholly outside their image',
        'correct or remove the entries; bbox is left, top, width, height in pixels of the image',
    ),
    BoxFate.TINY: (
        Level.WARNING,
        'under 1 px wide or high',
        'correct or remove the entries; bbox is in pixels, not in parts of the image',
    ),
    BoxFate.IGNORED: (Level.NOTE, 'marked "ignore", which training skips', 'remove the mark to learn from them'),
    BoxFate.CROWD: (
        Level.NOTE,
        'around crowds or marked "ignore", which training skips',
        'set use_crowd=True in the data set to learn from them',
    ),
}


def find_in_boxes(facts: Facts, num_proposals: int | None) -> Iterator[Finding]:
    """Go through the boxes of one data set.

    Args:
        facts: Of the data set.
        num_proposals: Of the model; None where it has no such number.
    """
    annotations, source, kept = facts.annotations, facts.source, facts.kept

    def finding(key: str, level: Level, mask: np.ndarray, what: str, fix: str) -> Finding:
        files = (_image_name(facts, box) for box in np.flatnonzero(mask))
        return Finding(
            key, level, source.name, source.ann_file, int(mask.sum()), Noun.BOX, what, fix, some_names(files)
        )

    broken = facts.box_fate == BoxFate.BROKEN
    if broken.any():
        what = 'without an id, image_id, category_id or the four numbers of bbox, or with an area that is no number'
        if not source.by_name:
            what = 'without an id, image_id, category_id, area or the four numbers of bbox'
        yield finding('broken box', Level.ERROR, broken, what, 'complete or remove the entries')
    if annotations.repeated_boxes:
        ids = annotations.repeated_boxes
        fix = 'give each box an id of its own'
        names = some_names(f'id {box}' for box in ids)
        what = 'with the id of another'
        yield Finding(
            'box id repeated', Level.ERROR, source.name, source.ann_file, len(ids), Noun.BOX, what, fix, names
        )
    if source.trains and not kept.any():
        fix = 'see which boxes are dropped, and why, in the table'
        what = 'to learn from'
        yield Finding('no boxes', Level.ERROR, source.name, source.ann_file, 0, Noun.BOX, what, fix)
    if not (source.trains or len(annotations.xywh)):
        # A validation would stop the training.
        level = Level.ERROR if 'val' in source.splits else Level.NOTE
        what = 'without annotations: there is nothing to evaluate'
        fix = 'set format_only=True of the evaluator to have tools/test.py --out write the detections alone'
        if level is Level.ERROR:
            fix = 'add those of its images, or set val_cfg, val_dataloader and val_evaluator to None'
        yield Finding('nothing to evaluate', level, source.name, source.ann_file, 1, Noun.FILE, what, fix)
    if num_proposals is not None:
        yield from _find_crowded(facts, num_proposals)
    for fate, (level, what, fix) in _DROPPED.items():
        mask = facts.box_fate == fate
        if mask.any():
            # mmdet's CocoDataset hands an infinite width on to the network.
            stops = fate is BoxFate.NOT_FINITE and not source.by_name
            yield finding(fate.value, Level.ERROR if stops else level, mask, what, fix)
    same = _repeats(facts)
    if same.any():
        what = 'of the same class at the same place as another'
        yield finding('identical boxes', Level.WARNING, same, what, 'keep one of each')
    over = kept & (_over_border(facts) > OVER_BORDER)
    if over.any():
        what = f'reaching more than {OVER_BORDER:g} px over the border of their image'
        yield finding('over the border', Level.NOTE, over, what, 'nothing: training cuts them there')


def _image_name(facts: Facts, box: int) -> str:
    image = facts.annotations.image[box]
    return facts.annotations.images[image].file_name if image >= 0 else f'entry {box} of annotations'


def _find_crowded(facts: Facts, num_proposals: int) -> Iterator[Finding]:
    counts = facts.boxes_per_image()
    crowded = np.flatnonzero(counts > num_proposals)
    if not len(crowded):
        return
    images = np.flatnonzero(facts.used)[crowded]
    order = np.argsort(-counts[crowded], kind='stable')
    names = [f'{facts.annotations.images[images[place]].file_name}: {counts[crowded[place]]}' for place in order[:4]]
    fix = f'set model.rpn_head.num_proposals to {counts.max()} or more: the boxes beyond it are never matched'
    yield Finding(
        'more boxes than proposals',
        Level.WARNING,
        facts.source.name,
        facts.source.ann_file,
        len(crowded),
        Noun.IMAGE,
        f'with more boxes than the {num_proposals} proposals',
        fix,
        some_names(names),
    )


def _repeats(facts: Facts) -> np.ndarray:
    """(M,) kept boxes that equal an earlier one of their image and class."""
    kept = np.flatnonzero(facts.kept)
    annotations = facts.annotations
    rows = np.column_stack([annotations.image[kept], annotations.category[kept], annotations.xywh[kept]])
    first = np.unique(rows, axis=0, return_index=True)[1]
    repeats = facts.kept.copy()
    repeats[kept[first]] = False
    return repeats


def _over_border(facts: Facts) -> np.ndarray:
    """(M,) by how many pixels a box leaves its image."""
    annotations = facts.annotations
    sizes = np.array([(image.width, image.height) for image in annotations.images]).reshape(-1, 2)
    sizes = np.vstack([sizes, [[np.inf, np.inf]]])[annotations.image]
    left_top, right_bottom = annotations.xywh[:, :2], annotations.xywh[:, :2] + annotations.xywh[:, 2:]
    return np.maximum(-left_top, right_bottom - sizes).max(axis=1, initial=0)
