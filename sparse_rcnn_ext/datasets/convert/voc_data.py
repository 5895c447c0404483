"""What a Pascal VOC data set consists of: where its XML files and images lie, and what one XML file says."""

import math
import re
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from xml.parsers import expat

from globox import BoundingBox
from globox.errors import ParsingError

from sparse_rcnn_ext.errors import UserError

from .image_files import SUFFIXES, read_list

_OWN_DATABASE = re.compile(r'The VOC\d{4} Database')
_OWN_ANNOTATION = re.compile(r'PASCAL VOC\d{4}')


@dataclass
class VocFile:
    """What one XML file says.

    Attributes:
        file_name: The image's name, as the labelling tool wrote it.
        size: Width and height, None where they are not given.
        objects: (name, (xmin, ymin, xmax, ymax), difficult, truncated), coordinates as they stand.
        without_area: How many more objects have no width or height, are inverted or no number.
        is_complete: Whether every object has a name and four numbers for a box.
        counts_from_1: Whether its source is known to count pixels from 1: VOC itself, or supervision.
    """

    file_name: str
    size: tuple[int, int] | None
    objects: list[tuple[str, tuple[float, float, float, float], bool, bool]]
    without_area: int
    is_complete: bool
    counts_from_1: bool

    @property
    def counts_from_0(self) -> bool:
        """Whether a coordinate proves that pixels are not counted from 1: a 0, or a fraction."""
        values = (value for _, box, *_ in self.objects for value in box if math.isfinite(value))
        return any(value == 0 or value % 1 for value in values)


def read_voc_file(path: Path) -> VocFile:
    """Read one file.

    Raises:
        expat.ExpatError, ValueError, LookupError: If it is no XML.
        UserError: If it declares entities, which no tool that labels images writes: they could grow without end, or
            name other files.
    """
    # By its path and not as text: an XML file names its own encoding.
    root = _parse(path)
    objects, without_area, is_complete = [], 0, True
    for node in root.iter('object'):
        try:
            box = BoundingBox.from_xml(node)
        except AssertionError:  # inverted or NaN
            without_area += 1
        except (ParsingError, ValueError):
            is_complete = False
        else:
            # A VOC box includes its last pixel, so xmin = xmax is one pixel; in real data it is a slip of the hand.
            if box.width == 0 or box.height == 0:
                without_area += 1
            else:
                flags = (_text(node, flag) == '1' for flag in ('difficult', 'truncated'))
                objects.append((box.label.strip(), box.ltrb, *flags))
    sides = [_text(root, f'size/{side}') for side in ('width', 'height')]
    size = tuple(map(int, sides)) if all(side.isdecimal() and int(side) > 0 for side in sides) else None
    return VocFile(_text(root, 'filename'), size, objects, without_area, is_complete, _is_from_1(root))


def _parse(path: Path) -> ET.Element:
    builder = ET.TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data

    def refuse(name: str, *_: object) -> None:
        raise UserError(f'{path} declares the entity {name}, which no annotation needs: remove its DOCTYPE')

    parser.EntityDeclHandler = refuse
    with path.open('rb') as file:
        parser.ParseFile(file)
    return builder.close()


def _is_from_1(root: ET.Element) -> bool:
    database = _text(root, 'source/database')
    is_own = _OWN_DATABASE.fullmatch(database) or _OWN_ANNOTATION.fullmatch(_text(root, 'source/annotation'))
    return bool(is_own) or (database == 'roboflow.ai' and _text(root, 'folder') == 'VOC')


def _text(node: ET.Element, tag: str) -> str:
    return (node.findtext(tag) or '').strip()


SPLITS = ('train', 'val', 'trainval', 'test')
WITHOUT_LISTS = 'all'
_SPLIT_FOLDERS = {'train': 'train', 'val': 'val', 'valid': 'val', 'validation': 'val', 'test': 'test'}
_ANNOTATIONS = ('Annotations', 'annotations', 'labels', 'xml')
_IMAGES = ('JPEGImages', 'images', 'Images', 'data', 'img')
_LISTS = 'ImageSets/Main'


class VocFolder(NamedTuple):
    """One folder of XML files with its images."""

    annotations: Path
    images: Path

    def xml_files(self) -> dict[str, Path]:
        """By path below ``annotations``, without suffix; sorted."""
        paths = sorted(self.annotations.rglob('*.xml'))
        return {path.relative_to(self.annotations).with_suffix('').as_posix(): path for path in paths}

    def image_files(self) -> dict[str, list[str]]:
        """Paths below ``images``, by the same without suffix."""
        files = defaultdict(list)
        for path in sorted(self.images.rglob('*')):
            if path.suffix.lower() in SUFFIXES:
                name = path.relative_to(self.images)
                files[name.with_suffix('').as_posix()].append(name.as_posix())
        return dict(files)


def find_voc_folders(root: Path) -> dict[str | None, VocFolder]:
    """The folders of XML files: one for all, under None, or else one for each split.

    Each holds Annotations/ (or labels/, or has the XML files itself) and JPEGImages/ (or images/, data/, or the images
    beside the XML files).

    Raises:
        UserError: If there are none.
    """
    if not root.is_dir():
        raise UserError(f'no folder {root}: give the folder that holds Annotations/ and JPEGImages/')
    if whole := _voc_folder(root):
        return {None: whole}
    by_split: dict[str | None, VocFolder] = {}
    for path in sorted(root.iterdir()):
        split = _SPLIT_FOLDERS.get(path.name.lower())
        if split and path.is_dir() and (folder := _voc_folder(path)):
            if split in by_split:
                raise UserError(f'{root} has two folders for {split}: keep one of them there')
            by_split[split] = folder
    if by_split:
        return by_split
    there = ', '.join(sorted(f'{path.name}/' if path.is_dir() else path.name for path in root.iterdir())[:12])
    raise UserError(
        f'{root} has no XML files in Annotations/ nor labels/, none of its own, and no folders train/, val/ or test/ '
        f'that have; it has {there or "nothing"}: give the folder that holds Annotations/ and JPEGImages/'
    )


def _voc_folder(folder: Path) -> VocFolder | None:
    annotations = next((folder / name for name in _ANNOTATIONS if any((folder / name).rglob('*.xml'))), None)
    if annotations is None and any(folder.glob('*.xml')):
        annotations = folder
    if annotations is None:
        return None
    return VocFolder(annotations, next((folder / name for name in _IMAGES if (folder / name).is_dir()), annotations))


def split_names(root: Path, splits: Sequence[str] | None, everything: Sequence[str]) -> dict[str, list[str]]:
    """Which images belong to which split of a folder: what the lists in ImageSets/Main/ say.

    Without any, the split is the first folder of each name, if that is train, val or test for all; else it is ``all``.

    Args:
        root: Holds ImageSets/.
        splits: Names of lists; None: those of train, val, trainval and test that exist.
        everything: The names of all images, without suffix.

    Raises:
        UserError: If a list is missing.
    """
    folder = root / _LISTS
    if splits is None:
        splits = [split for split in SPLITS if (folder / f'{split}.txt').is_file()]
    if not splits:
        first = [_SPLIT_FOLDERS.get(name.partition('/')[0].lower()) if '/' in name else None for name in everything]
        names = defaultdict(list)
        for name, split in zip(everything, first):
            names[split if all(first) else WITHOUT_LISTS].append(name)
        return dict(names)
    names = {}
    for split in splits:
        path = folder / f'{split}.txt'
        if not path.is_file():
            there = ', '.join(sorted(file.stem for file in folder.glob('*.txt'))) or 'none'
            raise UserError(f'no list {path} for --split {split}; lists there: {there}')
        lines = [line.replace('\\', '/') for line in read_list(path)]
        # Some tools list file names in place of names.
        names[split] = [str(Path(line).with_suffix('')) if _is_image(line) else line for line in lines]
    return names


def _is_image(name: str) -> bool:
    return Path(name).suffix.lower() in SUFFIXES
