"""What every entry of a COCO detection file must be."""

import math
from collections import Counter
from collections.abc import Callable, Sequence

from sparse_rcnn_ext.errors import UserError

KEYS = {
    'categories': ('id', 'name'),
    'images': ('id', 'file_name', 'width', 'height'),
    'annotations': ('id', 'image_id', 'category_id', 'bbox'),
}
_NAMES_SHOWN = 20
# A float64 has every whole number up to here.
LARGEST_ID = 2**53
LARGEST_SIDE = 10**9


def check_entries(path: str, content: dict) -> None:
    """See that a COCO file has what :func:`load_coco` promises.

    Raises:
        UserError: Names the first entry that is not so, and counts.
    """
    for part, keys in KEYS.items():
        entries = content.get(part)
        if not isinstance(entries, list):
            raise UserError(f'{path} has no list "{part}": it must be a COCO detection file')
        _refuse(path, part, entries, lambda entry, keys=keys: _lack(entry, keys), 'complete it')
        _check_ids(path, part, entries)
    categories, images, annotations = (content[part] for part in KEYS)
    _refuse(path, 'categories', categories, _name_problem, 'write a text')
    _refuse_repeated(path, 'categories', 'name', [category['name'] for category in categories])
    _refuse(path, 'images', images, _file_name_problem, 'write it as text')
    unsized = [image for image in images if not all(_is_side(image[side]) for side in ('width', 'height'))]
    if unsized:
        image = unsized[0]
        raise UserError(
            f'the image {image["file_name"]} in {path} is {_short(image["width"])} wide and {_short(image["height"])} '
            f'high: write its size in pixels ({_count(unsized, images)})'
        )
    _refuse(path, 'annotations', annotations, _reference_problem, 'write a number or a text')
    _refuse(path, 'annotations', annotations, _box_problem, 'write left, top, width and height in pixels')
    _refuse(path, 'annotations', annotations, _area_problem, 'write square pixels or nothing')
    _refuse(path, 'annotations', annotations, _crowd_problem, 'write 0 or 1')


def some_names(names: Sequence[object]) -> str:
    """The names in quotes, the first 20 of many."""
    shown = ', '.join(repr(name) for name in names[:_NAMES_SHOWN]) or 'none'
    return shown if len(names) <= _NAMES_SHOWN else f'{shown} and {len(names) - _NAMES_SHOWN} more'


def _refuse(path: str, part: str, entries: list, problem_of: Callable[[object], str | None], advice: str) -> None:
    bad = [(number, problem) for number, entry in enumerate(entries) if (problem := problem_of(entry))]
    if bad:
        number, problem = bad[0]
        raise UserError(f'entry {number} of "{part}" in {path} {problem}: {advice} ({_count(bad, entries)})')


def _lack(entry: object, keys: tuple[str, ...]) -> str | None:
    lacking = keys if not isinstance(entry, dict) else [key for key in keys if key not in entry]
    return f'has no {" and no ".join(lacking)}' if lacking else None


def _check_ids(path: str, part: str, entries: list[dict]) -> None:
    ids = [entry['id'] for entry in entries]
    bad = [value for value in ids if not _is_id(value)]
    if bad:
        kind = 'a list or an object' if isinstance(bad[0], (list, dict)) else _short(bad[0])
        raise UserError(
            f'"{part}" in {path} has an id that is {kind}: write a number or a text ({_count(bad, entries)})'
        )
    texts = [value for value in ids if isinstance(value, str)]
    if texts and len(texts) < len(ids):
        # They have no order, which pycocotools needs.
        raise UserError(f'"{part}" in {path} has {len(texts)} ids of {len(ids)} that are texts: write all as numbers')
    _refuse_repeated(path, part, 'id', ids)


def _refuse_repeated(path: str, part: str, key: str, values: list) -> None:
    repeated = [value for value, count in Counter(values).items() if count > 1]
    if repeated:
        raise UserError(
            f'"{part}" in {path} has {len(repeated)} {key}s more than once, {some_names(repeated)}: keep each once'
        )


def _name_problem(category: dict) -> str | None:
    return None if isinstance(category['name'], str) else f'has the name {_short(category["name"])}'


def _file_name_problem(image: dict) -> str | None:
    name = image['file_name']
    return None if isinstance(name, str) and name.strip('\0 ') else f'has the file_name {_short(name)}'


def _reference_problem(annotation: dict) -> str | None:
    bad = [key for key in ('image_id', 'category_id') if not _is_id(annotation[key])]
    return f'has the {bad[0]} {_short(annotation[bad[0]])}' if bad else None


def _box_problem(annotation: dict) -> str | None:
    box = annotation['bbox']
    if isinstance(box, list) and len(box) == 4 and all(_is_number(value) for value in box):
        return None
    return f'has the bbox {_short(box)}'


def _area_problem(annotation: dict) -> str | None:
    area = annotation.get('area')
    return None if area is None or _is_number(area) else f'has the area {_short(area)}'


def _crowd_problem(annotation: dict) -> str | None:
    crowd = annotation.get('iscrowd')
    return None if crowd is None or (_is_number(crowd) and crowd in (0, 1)) else f'has the iscrowd {_short(crowd)}'


def _is_id(value: object) -> bool:
    return isinstance(value, str) or (_is_number(value) and math.isfinite(value))


def _is_number(value: object) -> bool:
    """NaN and infinity are numbers here; of a whole one that float64 lacks, numpy would make an object."""
    return isinstance(value, float) or (isinstance(value, int) and abs(value) <= LARGEST_ID)


def _is_side(value: object) -> bool:
    return _is_number(value) and 0 < value <= LARGEST_SIDE


def _count(bad: Sequence[object], entries: Sequence[object]) -> str:
    return f'so with {len(bad)} of {len(entries)} entries'


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f'{text[:80]}…'
