"""YOLO (data.yaml and a .txt of normalised boxes an image) to COCO.

globox reads a line of a label file and turns it into pixels. The rest is ours: globox has no data.yaml, no lists of
images and no folders in folders, leaves out images without a label file, which are YOLO's background images, reads one
image suffix at a time, and ends at the first line that it cannot read.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from globox import BoundingBox
from globox.errors import ParsingError
from tqdm import tqdm

from sparse_rcnn_ext.engine.errors import UserError

from .coco_json import NO_AREA, CocoJson
from .image_files import SUFFIXES
from .yolo_data import YoloData, read_yolo_data

NOT_A_LINE = 'lines that are neither "class cx cy w h" nor a polygon'


def convert_yolo(data_yaml: Path, splits: Sequence[str] | None) -> tuple[dict[str, CocoJson], Path]:
    """Convert the splits of a YOLO data set.

    The labels of .../images/x.jpg are .../labels/x.txt, or lie beside the image where no folder is called images. An
    image without that file has no objects. A polygon becomes the box around it. Classes are those of ``names``, in the
    order of their indices, with ids from 1.

    Args:
        data_yaml: The data set's description, with names as list or mapping, and paths of folders or lists.
        splits: Some of train, val, test; None: those that the file has.

    Returns:
        By split, and the folder that file names are relative to.

    Raises:
        UserError: If the description is wrong, or a split ends up without images.
    """
    data = read_yolo_data(data_yaml)
    for split in splits or ():
        if split not in data.splits:
            raise UserError(f'{data_yaml} has no {split}; it has {", ".join(data.splits)}')
    converted = {}
    for split in splits or data.splits:
        coco = CocoJson(tuple(data.names.values()), f'{split} of {data.root.name}, converted from YOLO')
        used = set()
        images = [path for source in data.splits[split] for path in _images(source)]
        for path in tqdm(images, desc=f'{split} images', unit='img', mininterval=1.0, disable=None):
            size = coco.begin_image(data.root, Path(os.path.relpath(path, data.root)).as_posix())
            used.add(label_path(path))
            if size is not None:
                _add_boxes(coco, label_path(path), size, data)
        coco.require_images(f'{", ".join(map(str, data.splits[split]))}, which {data_yaml} gives for {split}')
        _note_orphans(coco, used, data.splits[split])
        converted[split] = coco
    return converted, data.root


def label_path(image: Path) -> Path:
    """The label file of an image: images/ → labels/ in the last place where that occurs, and the suffix .txt."""
    parts = list(image.parts)
    for place in range(len(parts) - 2, -1, -1):
        if parts[place] == 'images':
            parts[place] = 'labels'
            break
    return Path(*parts).with_suffix('.txt')


def _images(source: Path) -> Iterator[Path]:
    if source.is_dir():
        yield from (path for path in sorted(source.rglob('*')) if path.suffix.lower() in SUFFIXES)
    else:
        lines = source.read_text(encoding='utf-8').splitlines()
        yield from (source.parent / line.strip() for line in lines if line.strip())


def _add_boxes(coco: CocoJson, path: Path, size: tuple[int, int], data: YoloData) -> None:
    try:
        lines = path.read_text(encoding='utf-8').splitlines()
    except FileNotFoundError:
        coco.noted['images without a label file, taken for empty'].append(path.name)
        return
    except UnicodeDecodeError:
        coco.left_out['label files that are no text'].append(path.name)
        return
    for line in lines:
        if line.strip():
            _add_box(coco, path.name, line.split(), size, data)


def _add_box(coco: CocoJson, where: str, columns: list[str], size: tuple[int, int], data: YoloData) -> None:
    if data.with_keypoints:
        columns = columns[:5]
    is_polygon = len(columns) >= 7 and len(columns) % 2 == 1
    if not is_polygon and len(columns) != 5:
        coco.left_out[NOT_A_LINE].append(where)
        return
    read = BoundingBox.from_yolo_seg if is_polygon else BoundingBox.from_yolo_v5
    try:
        box = read(' '.join(columns), image_size=size)
        index = float(box.label)
    except AssertionError:  # a negative size or NaN
        coco.left_out[NO_AREA].append(where)
        return
    except (ParsingError, ValueError):
        coco.left_out[NOT_A_LINE].append(where)
        return
    if index not in data.names:
        coco.left_out[f'boxes of class {box.label}, which names does not have'].append(where)
        return
    if is_polygon:
        coco.noted['polygons, written as the boxes around them'].append(where)
    coco.add_box(data.names[int(index)], box.ltrb, False, where)


def _note_orphans(coco: CocoJson, used: set[Path], sources: Sequence[Path]) -> None:
    """Label files that belong to no image; a list may name a part of a folder, so only folders are searched."""
    for source in sources:
        folder = label_path(source / 'x').parent
        if source.is_dir() and folder.is_dir():
            for path in sorted(folder.rglob('*.txt')):
                if path not in used and path.name != 'classes.txt':
                    coco.left_out['label files without an image'].append(path.name)
