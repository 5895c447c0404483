"""What one XML file of Pascal VOC says."""

import math
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path
from xml.parsers import expat

from globox import BoundingBox
from globox.errors import ParsingError

from sparse_rcnn_ext.engine.errors import UserError

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
