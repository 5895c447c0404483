"""Small data sets in the formats that are converted, written by the tests."""

import json
from pathlib import Path

import cv2
import numpy as np

WIDTH, HEIGHT = 100, 80
SIZE = f'<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>'

OWN_SOURCE = '<source><database>The VOC2007 Database</database></source>'

# Edges in pixels, of two objects that do not touch, at places that differ from image to image.
EDGES = [(10 + 3 * i, 8 + i, 40 + 3 * i, 38 + 2 * i) for i in range(6)]
OTHER_EDGES = [(60 + i, 45 - i, 90 + i, 75 - i) for i in range(6)]


def write_image(path: Path, *boxes: tuple[float, ...], size: tuple[int, int] = (WIDTH, HEIGHT)) -> None:
    """A noisy image with a bright rectangle at each of ``boxes`` (x1, y1, x2, y2)."""
    image = np.random.default_rng(len(path.name)).integers(0, 90, (size[1], size[0], 3), dtype=np.uint8)
    for number, box in enumerate(boxes):
        x1, y1, x2, y2 = map(int, box)
        image[max(y1, 0) : y2, max(x1, 0) : x2, number % 3] = 220
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


def voc_object(name: str, *box: object, difficult: int = 0, truncated: int = 0) -> str:
    """An object element; ``box`` is xmin, ymin, xmax, ymax as written in the file."""
    corners = ''.join(f'<{tag}>{value}</{tag}>' for tag, value in zip(('xmin', 'ymin', 'xmax', 'ymax'), box))
    return (
        f'<object><name>{name}</name><truncated>{truncated}</truncated><difficult>{difficult}</difficult>'
        f'<bndbox>{corners}</bndbox></object>'
    )


def write_voc_image(root: Path, name: str, *objects: str, size: str = SIZE, file_name: str | None = None) -> None:
    """JPEGImages/NAME.jpg and Annotations/NAME.xml."""
    write_image(root / f'JPEGImages/{name}.jpg')
    write_xml(root, name, *objects, size=size, file_name=file_name)


def write_xml(
    root: Path, name: str, *objects: str, size: str = SIZE, file_name: str | None = None, folder: str = 'Annotations'
) -> None:
    path = root / folder / f'{name}.xml'
    path.parent.mkdir(parents=True, exist_ok=True)
    file_name = f'{name}.jpg' if file_name is None else file_name
    path.write_text(f'<annotation><filename>{file_name}</filename>{size}{"".join(objects)}</annotation>')


def write_list(root: Path, split: str, *names: str) -> None:
    path = root / f'ImageSets/Main/{split}.txt'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(''.join(f'{name}\n' for name in names))


def make_voc(root: Path, classes: tuple[str, str], splits: dict[str, range]) -> Path:
    """A VOC folder: in each image an object of each class, and in the third a difficult one."""
    for split, numbers in splits.items():
        for number in numbers:
            boxes = EDGES[number], OTHER_EDGES[number]
            # A box of VOC counts pixels from 1 and includes the last.
            objects = [voc_object(name, x1 + 1, y1 + 1, x2, y2) for name, (x1, y1, x2, y2) in zip(classes, boxes)]
            if number == 2:
                objects.append(voc_object(classes[0], 5, 60, 20, 75, difficult=1))
            write_voc_image(root, f'{number:06d}', *objects, size=SIZE + OWN_SOURCE)
            write_image(root / f'JPEGImages/{number:06d}.jpg', *boxes)
        write_list(root, split, *(f'{number:06d}' for number in numbers))
    return root


def yolo_line(index: int, x1: float, y1: float, x2: float, y2: float) -> str:
    """A line of a label file, with six digits as YOLO tools write them."""
    values = ((x1 + x2) / 2 / WIDTH, (y1 + y2) / 2 / HEIGHT, (x2 - x1) / WIDTH, (y2 - y1) / HEIGHT)
    return ' '.join([str(index), *(f'{value:.6f}' for value in values)])


def make_yolo(root: Path) -> Path:
    """A YOLO data set with train and val; returns its data.yaml."""
    for split, numbers in (('train', range(4)), ('val', range(4, 6))):
        for number in numbers:
            write_image(root / f'images/{split}/{number}.jpg', EDGES[number], OTHER_EDGES[number])
            label = root / f'labels/{split}/{number}.txt'
            label.parent.mkdir(parents=True, exist_ok=True)
            label.write_text(f'{yolo_line(0, *EDGES[number])}\n{yolo_line(1, *OTHER_EDGES[number])}\n')
    data = root / 'data.yaml'
    data.write_text('path: .\ntrain: images/train\nval: images/val\nnames: [left, right]\n')
    return data


def person(fbox: list[float], tag: str = 'person', ignore: int | None = None) -> dict:
    """An object of an odgt record."""
    x, y, w, h = fbox
    entry = dict(
        tag=tag, fbox=fbox, vbox=[x, y, w, h / 2], hbox=[x, y, w / 2, h / 4], head_attr={}, extra={'box_id': 0}
    )
    if ignore is not None:
        entry['extra']['ignore'] = ignore
    return entry


def write_odgt(root: Path, split: str, records: dict[str, list[dict]]) -> None:
    """annotation_SPLIT.odgt and an image for every record."""
    for name in records:
        write_image(root / f'Images/{name}.jpg')
    lines = [json.dumps(dict(ID=name, gtboxes=entries)) for name, entries in records.items()]
    (root / f'annotation_{split}.odgt').write_text('\n'.join(lines) + '\n')


def make_crowdhuman(root: Path) -> Path:
    """A CrowdHuman folder; a box of each image reaches over the border, and each has regions to ignore."""
    for split, numbers in (('train', range(4)), ('val', range(3, 6))):
        records = {}
        for number in numbers:
            (x1, y1, x2, y2), (x3, y3, x4, _) = EDGES[number], OTHER_EDGES[number]
            records[f'2732{number},c9db{number}'] = [
                person([x1, y1, x2 - x1, y2 - y1]),
                person([x3, y3, x4 - x3, 60]),
                person([2, 60, 15, 15], tag='mask', ignore=1),
                person([30, 62, 20, 15], ignore=1),
            ]
        write_odgt(root, split, records)
    return root
