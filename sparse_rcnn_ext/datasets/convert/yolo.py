"""YOLO (data.yaml and a .txt of normalised boxes an image) to COCO.

globox reads a line of a label file and turns it into pixels. The rest is ours: globox has no data.yaml, no lists of
images and no folders in folders, leaves out images without a label file, which are YOLO's background images, reads one
image suffix at a time, and ends at the first line that it cannot read.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from globox import BoundingBox
from tqdm import tqdm

from sparse_rcnn_ext.errors import UserError

from .coco_json import NO_AREA, CocoJson
from .image_files import SUFFIXES, read_list
from .yolo_data import YoloData, first_inside, read_yolo_data

NOT_A_LINE = 'lines that are neither "class cx cy w h" nor a polygon'


def convert_yolo(
    data_yaml: Path, splits: Sequence[str] | None, ids_from: int = 0, allow_outside: bool = False
) -> tuple[dict[str, CocoJson], Path]:
    """Convert the splits of a YOLO data set.

    The labels of .../images/x.jpg are .../labels/x.txt, or lie beside the image where no folder is called images. An
    image without that file has no objects. A polygon becomes the box around it. Classes are those of ``names``, in the
    order of their indices, with ids from 1.

    Args:
        data_yaml: The data set's description, with names as list or mapping, and paths of folders or lists; or its
            folder, see :func:`read_yolo_data`.
        splits: Some of train, val, test; None: those that the file has.
        ids_from: The number that the label files have for the first of the names.
        allow_outside: Whether the description and its lists may name what is not in their folder.

    Returns:
        By split, and the folder that file names are relative to.

    Raises:
        UserError: If the description is wrong or leads out of its folder, a label file has a number that ``names``
            lacks, no label file belongs to an image, or a split ends up without images.
    """
    data = read_yolo_data(data_yaml, allow_outside)
    numbers: Counter[float] = Counter()
    for split in splits or ():
        if split not in data.splits:
            raise UserError(f'{data_yaml} has no {split}; it has {", ".join(data.splits)}')
    converted = {}
    for split in splits or data.splits:
        coco = CocoJson(tuple(data.names.values()), f'{split} of {data.root.name}, converted from YOLO')
        used = set()
        images = [path for source in data.splits[split] for path in _images(source, data)]
        for path in tqdm(images, desc=f'{split} images', unit='img', mininterval=1.0, disable=None):
            labels = _label_file(path)
            used.add(labels)
            boxes = _read_boxes(coco, labels, data)
            if boxes is None:
                continue
            size = coco.begin_image(data.root, Path(os.path.relpath(path, data.root)).as_posix())
            if size is not None:
                numbers.update(index for index, _ in boxes)
                _add_boxes(coco, labels.name, boxes, size, data.names, ids_from)
        where = f'{", ".join(map(str, data.splits[split]))}, which {data_yaml} gives for {split}'
        coco.require_images(where)
        _note_orphans(coco, used, data.splits[split], where)
        converted[split] = coco
    _check_numbers(numbers, data, data_yaml, ids_from)
    if ids_from == 0 and 0 in data.names and numbers and not numbers[0]:
        first = next(iter(converted.values()))
        first.noted[f'numbers without a 0, which is {data.names[0]} (if they count from 1: --ids-from 1)'] = [
            data_yaml.name
        ]
    return converted, data.root


def label_path(image: Path) -> Path:
    """The label file of an image: images/ → labels/ in the last place where that occurs, and the suffix .txt."""
    parts = list(image.parts)
    for place in range(len(parts) - 2, -1, -1):
        if parts[place] == 'images':
            parts[place] = 'labels'
            break
    return Path(*parts).with_suffix('.txt')


def _label_file(image: Path) -> Path:
    """Where the labels of an image are, or should be: LabelImg writes them beside it, whatever the folder is called."""
    path, beside = label_path(image), image.with_suffix('.txt')
    return beside if not path.is_file() and beside.is_file() else path


def _images(source: Path, data: YoloData) -> Iterator[Path]:
    if source.is_dir():
        yield from (path for path in sorted(source.rglob('*')) if path.suffix.lower() in SUFFIXES)
        return
    for name in read_list(source):
        # CVAT lists data/obj_train_data/x.jpg for a folder beside the list.
        places = (source.parent / name, data.root / name, source.parent / name.removeprefix('data/'))
        yield first_inside(places, data.home, source)


def _read_boxes(coco: CocoJson, path: Path, data: YoloData) -> list[tuple[float, list[str]]] | None:
    """The numbers of the classes, and the columns of the lines; None where the image has to be left out.

    Without one of its objects it would teach that there is none.
    """
    try:
        lines = [line.split() for line in path.read_text(encoding='utf-8').splitlines() if line.strip()]
    except FileNotFoundError:
        coco.noted['images without a label file, taken for empty'].append(path.name)
        return []
    except UnicodeDecodeError:
        coco.left_out['images whose label file is no text'].append(path.name)
        return None
    boxes = []
    for columns in lines:
        if data.with_keypoints:
            columns = columns[:5]
        try:
            numbers = [float(column) for column in columns]
        except ValueError:
            numbers = []
        if len(numbers) != 5 and not (len(numbers) >= 7 and len(numbers) % 2 == 1):
            coco.left_out[NOT_A_LINE].append(path.name)
            return None
        boxes.append((numbers[0], columns))
    return boxes


def _add_boxes(
    coco: CocoJson, where: str, boxes: list, size: tuple[int, int], names: dict[int, str], ids_from: int
) -> None:
    for number, columns in boxes:
        if number - ids_from not in names:
            continue  # an error in the end, which names them all
        read = BoundingBox.from_yolo_v5 if len(columns) == 5 else BoundingBox.from_yolo_seg
        try:
            box = read(' '.join(columns), image_size=size)
        except AssertionError:  # a negative size or NaN
            coco.left_out[NO_AREA].append(where)
            continue
        if len(columns) > 5:
            coco.noted['polygons, written as the boxes around them'].append(where)
        coco.add_box(names[int(number - ids_from)], box.ltrb, False, where)


def _check_numbers(numbers: Counter[float], data: YoloData, data_yaml: Path, ids_from: int) -> None:
    """Raise UserError for numbers that ``names`` lacks: then the other boxes may have a wrong class too."""
    unknown = [number for number in numbers if number - ids_from not in data.names]
    if not unknown:
        return
    found = ', '.join(f'{number:g}' for number in sorted(numbers))
    known = ', '.join(f'{number + ids_from} {name}' for number, name in data.names.items())
    fix = 'list them all in names, as a mapping from number to name'
    if ids_from == 0:
        fix = f"if they count from 1, as COCO's ids do, give --ids-from 1; else {fix}"
    raise UserError(f'the label files of {data_yaml} have the class numbers {found}, and its names are {known}: {fix}')


def _note_orphans(coco: CocoJson, used: set[Path], sources: Sequence[Path], where: str) -> None:
    """Label files that belong to no image; a list may name a part of a folder, so only folders are searched.

    Raises:
        UserError: If there are such files and no others.
    """
    orphans = []
    for source in sources:
        folder = label_path(source / 'x').parent
        if source.is_dir() and folder.is_dir():
            paths = (path for path in sorted(folder.rglob('*.txt')) if path.name != 'classes.txt')
            orphans += [path for path in paths if path not in used]
    if orphans and not any(path.is_file() for path in used):
        raise UserError(
            f'none of the images in {where} has a label file, and none of the label files there an image, such as '
            f'{orphans[0]}: give each the name of its image'
        )
    if orphans:
        coco.left_out['label files without an image'] += [path.name for path in orphans]
