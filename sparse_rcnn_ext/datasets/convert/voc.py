"""Pascal VOC (Annotations/*.xml, ImageSets/Main/*.txt, JPEGImages/) to COCO.

globox reads the name and the box of an object. The rest is ours: globox takes an image's name and size from its XML,
where both are often wrong in data that travelled, drops the ``difficult`` flag, keeps the 1-based pixels, knows no
splits, and ends at the first inverted box.
"""

import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from globox import BoundingBox
from globox.errors import ParsingError
from tqdm import tqdm

from sparse_rcnn_ext.engine.errors import UserError

from .classes import choose_classes
from .coco_json import NO_AREA, CocoJson
from .image_files import SUFFIXES

IMAGES = 'JPEGImages'
SPLITS = ('train', 'val', 'trainval', 'test')
WITHOUT_LISTS = 'all'


@dataclass
class VocFile:
    """What one XML file says.

    Attributes:
        file_name: The image's name, as the labelling tool wrote it.
        size: Width and height, None where they are not given.
        objects: (name, (xmin, ymin, xmax, ymax), difficult, truncated), coordinates as they stand.
        unusable: What is wrong with each object that is not in ``objects``.
    """

    file_name: str
    size: tuple[int, ...] | None
    objects: list[tuple[str, tuple[float, float, float, float], bool, bool]]
    unusable: list[str]


def read_voc_file(path: Path) -> VocFile:
    """Read one file of Annotations/.

    Raises:
        ET.ParseError, ValueError, LookupError: If it is no XML.
    """
    # By its path and not as text: an XML file names its own encoding.
    root = ET.parse(path).getroot()
    objects, unusable = [], []
    for node in root.iter('object'):
        try:
            box = BoundingBox.from_xml(node)
        except AssertionError:  # inverted or NaN
            unusable.append(NO_AREA)
        except (ParsingError, ValueError):
            unusable.append('objects without a name or without four numbers for a box')
        else:
            # A VOC box includes its last pixel, so xmin = xmax is one pixel; in real data it is a slip of the hand.
            if box.width == 0 or box.height == 0:
                unusable.append(NO_AREA)
            else:
                flags = (_text(node, flag) == '1' for flag in ('difficult', 'truncated'))
                objects.append((box.label.strip(), box.ltrb, *flags))
    sides = [_text(root, f'size/{side}') for side in ('width', 'height')]
    size = tuple(map(int, sides)) if all(side.isdecimal() and int(side) > 0 for side in sides) else None
    return VocFile(_text(root, 'filename'), size, objects, unusable)


def _text(node: ET.Element, tag: str) -> str:
    return (node.findtext(tag) or '').strip()


def convert_voc(
    root: Path, splits: Sequence[str] | None, classes: Sequence[str] | None, zero_based: bool
) -> dict[str, CocoJson]:
    """Convert the splits of a VOC folder.

    VOC counts pixels from 1 and a box includes its last pixel: (xmin, ymin, xmax, ymax) has the edges
    (xmin − 1, ymin − 1, xmax, ymax). A difficult object becomes ``iscrowd``, which training and COCO's metric ignore.

    Args:
        root: Holds Annotations/ and JPEGImages/, and the lists of the splits in ImageSets/Main/.
        splits: Names of lists; None: those of train, val, trainval and test that exist, and without any of them
            everything, as ``all``.
        classes: Class names in the order of their ids; None: all that the XML files hold, sorted. Either way, ids do
            not depend on ``splits``.
        zero_based: Take the coordinates for edges as they stand, as some labelling tools write them.

    Returns:
        By split; file names are relative to JPEGImages/.

    Raises:
        UserError: If a folder, a list or a class is missing, or a split ends up without images.
    """
    for folder in ('Annotations', IMAGES):
        if not (root / folder).is_dir():
            raise UserError(f'no folder {root / folder}: a VOC folder holds Annotations/ and {IMAGES}/')
    files = _read_all(root / 'Annotations')
    labels = {name for file in files.values() if file for name, *_ in file.objects}
    classes = choose_classes(classes, labels, str(root / 'Annotations'))
    images = _images_by_stem(root / IMAGES)
    converted = {}
    for split, names in _split_names(root, splits, list(files)).items():
        coco = CocoJson(classes, f'{split} of {root.name}, converted from Pascal VOC')
        for name in tqdm(names, desc=f'{split} images', unit='img', mininterval=1.0, disable=None):
            if name not in files:
                coco.left_out['images without an annotation file'].append(name)
            elif files[name] is None:
                coco.left_out['images whose annotation file is no XML'].append(f'{name}.xml')
            else:
                _add(coco, root / IMAGES, name, files[name], images.get(name, []), zero_based)
        coco.require_images(f'the split {split} of {root}')
        converted[split] = coco
    return converted


def _read_all(folder: Path) -> dict[str, VocFile | None]:
    """By stem, in order; None for what is no XML."""
    files = {}
    for path in tqdm(sorted(folder.glob('*.xml')), desc='annotations', unit='xml', mininterval=1.0, disable=None):
        try:
            files[path.stem] = read_voc_file(path)
        except (ET.ParseError, ValueError, LookupError):  # the last two: an encoding that is none
            files[path.stem] = None
    return files


def _images_by_stem(folder: Path) -> dict[str, list[str]]:
    images = defaultdict(list)
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in SUFFIXES:
            images[path.stem].append(path.name)
    return images


def _split_names(root: Path, splits: Sequence[str] | None, everything: list[str]) -> dict[str, list[str]]:
    folder = root / 'ImageSets/Main'
    if splits is None:
        splits = [split for split in SPLITS if (folder / f'{split}.txt').is_file()]
        if not splits:
            return {WITHOUT_LISTS: everything}
    names = {}
    for split in splits:
        path = folder / f'{split}.txt'
        if not path.is_file():
            there = ', '.join(sorted(file.stem for file in folder.glob('*.txt'))) or 'none'
            raise UserError(f'no list {path} for --split {split}; lists there: {there}')
        lines = [line.strip() for line in path.read_text(encoding='utf-8').splitlines()]
        # Some tools list file names in place of names.
        names[split] = [Path(line).stem if Path(line).suffix.lower() in SUFFIXES else line for line in lines if line]
    return names


def _add(coco: CocoJson, folder: Path, name: str, file: VocFile, candidates: list[str], zero_based: bool) -> None:
    """Add one image with its objects; ``candidates`` are the image files of that name."""
    file_name = file.file_name if file.file_name in candidates else next(iter(candidates), f'{name}.jpg')
    size = coco.begin_image(folder, file_name)
    if size is None:
        return
    if file.size not in (None, size):
        coco.noted['images whose XML gives another size than the file has, written with that of the file'].append(
            file_name
        )
    for what in file.unusable:
        coco.left_out[what].append(f'{name}.xml')
    first_pixel = 0 if zero_based else 1
    for label, (xmin, ymin, xmax, ymax), difficult, truncated in file.objects:
        box = (xmin - first_pixel, ymin - first_pixel, xmax, ymax)
        extra = dict(difficult=int(difficult), truncated=int(truncated))
        coco.add_box(label, box, difficult, f'{name}.xml', extra)
