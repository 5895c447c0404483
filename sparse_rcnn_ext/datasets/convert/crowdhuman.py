"""CrowdHuman (annotation_*.odgt, Images/) to COCO; globox does not know the format."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tqdm import tqdm

from sparse_rcnn_ext.errors import UserError

from .coco_json import CocoJson

CLASS = 'person'
IMAGES = 'Images'
SPLITS = ('train', 'val')


def convert_crowdhuman(root: Path, splits: Sequence[str] | None) -> dict[str, CocoJson]:
    """Convert the splits of CrowdHuman.

    The box is the full body's (``fbox``: x, y, width, height in pixels from 0), which often reaches over the border;
    it is cut there, as the metric does. The visible part (``vbox``) and the head (``hbox``) stay beside it as they are.
    What is no person (crowds, reflections: the tag ``mask``) or has the flag ``ignore`` becomes ``iscrowd``.

    Args:
        root: Holds annotation_train.odgt, annotation_val.odgt and Images/ID.jpg.
        splits: Some of train, val; None: those whose annotations are there.

    Returns:
        By split; file names are relative to Images/.

    Raises:
        UserError: If annotations or images are missing, or a line of the annotations is broken.
    """
    if not (root / IMAGES).is_dir():
        raise UserError(f'no folder {root / IMAGES}: unpack the images of CrowdHuman there')
    paths = {split: root / f'annotation_{split}.odgt' for split in splits or SPLITS}
    there = {split: path for split, path in paths.items() if path.is_file()}
    if not there or (splits and len(there) < len(paths)):
        missing = next(path for split, path in paths.items() if split not in there)
        raise UserError(f'no file {missing}: put the annotations of CrowdHuman there')
    converted = {}
    for split, path in there.items():
        coco = CocoJson((CLASS,), f'{split} of CrowdHuman, converted from {path.name}')
        with path.open('rb') as lines:
            total = sum(1 for _ in lines)
        for record in tqdm(_records(path), f'{split} images', total, unit='img', mininterval=1.0, disable=None):
            if coco.begin_image(root / IMAGES, f'{record["ID"]}.jpg'):
                for number, entry in enumerate(record['gtboxes']):
                    _add_box(coco, f'{record["ID"]}, object {number}', entry)
        coco.require_images(f'the split {split} of {root}')
        converted[split] = coco
    return converted


def is_ignored(entry: dict) -> bool:
    """Whether an object is neither to find nor wrong to find: no person, or flagged so."""
    return entry['tag'] != CLASS or entry.get('extra', {}).get('ignore', 0) != 0


def parse_records(path: str | Path, lines: Iterable[str], boxes: Sequence[str] = ('fbox',)) -> Iterator[dict]:
    """The records of an .odgt file, one a line; every object has a tag and, as four numbers each, the ``boxes``.

    Raises:
        UserError: If a line is no such record.
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            complete = isinstance(record['ID'], str) and all(_is_object(entry, boxes) for entry in record['gtboxes'])
        except (ValueError, KeyError, TypeError, RecursionError):
            complete = False
        if not complete:
            raise UserError(
                f'line {number} of {path} is no record of CrowdHuman (ID, gtboxes with tag and {", ".join(boxes)}): '
                'get the file again'
            )
        yield record


def _records(path: Path) -> Iterator[dict]:
    with path.open(encoding='utf-8', errors='replace') as lines:
        yield from parse_records(path, lines)


def _is_object(entry: dict, boxes: Sequence[str]) -> bool:
    return (
        isinstance(entry['tag'], str)
        and all(isinstance(entry.get(key, {}), dict) for key in ('extra', 'head_attr'))
        and all(len(entry[key]) == 4 and all(isinstance(side, (int, float)) for side in entry[key]) for key in boxes)
    )


def _add_box(coco: CocoJson, where: str, entry: dict) -> None:
    x, y, width, height = entry['fbox']
    extra = {name: entry[name] for name in ('vbox', 'hbox') if name in entry}
    coco.add_box(CLASS, (x, y, x + width, y + height), is_ignored(entry), where, extra)
