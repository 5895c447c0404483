"""A COCO annotation file in the making: its classes, what does not get into it, and what a conversion leaves behind."""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from sparse_rcnn_ext.errors import UserError

from .image_files import image_size

# Edges that a format rounds (YOLO writes six digits) may pass the border by a fraction of a pixel: no news.
ROUNDING = 0.5
NAMES_SHOWN = 3
NO_AREA = 'boxes without area (no width or height, inverted, or no number)'


class CocoJson:
    """Images, boxes and categories of one split.

    Ids are integers from 1: categories in the order of ``classes``, images and boxes in the order in which they are
    added. A box that lies partly outside its image is cut at the border. A box without area (no width or height,
    inverted, not a number, or wholly outside) cannot be trained on and is left out. Both are counted, with the place.

    Args:
        classes: The class names, each once.
        description: What the file is, for its ``info``.

    Attributes:
        left_out: What is not in the file, and the places (file names) of each.
        noted: The same for what is in the file, but not as it was.
    """

    def __init__(self, classes: Sequence[str], description: str) -> None:
        self.classes = tuple(classes)
        self.description = description
        self.images: list[dict] = []
        self.annotations: list[dict] = []
        self.left_out: dict[str, list[str]] = defaultdict(list)
        self.noted: dict[str, list[str]] = defaultdict(list)
        self._file_names: set[str] = set()
        self._category_ids = {name: number for number, name in enumerate(self.classes, start=1)}

    def begin_image(self, folder: Path, file_name: str) -> tuple[int, int] | None:
        """Begin the image to which the boxes that follow belong.

        Args:
            folder: The image folder.
            file_name: The image's path in it.

        Returns:
            Width and height in pixels, or None where the image is left out: then its boxes must not be added.
        """
        if file_name in self._file_names:
            self.left_out['images that are listed twice'].append(file_name)
            return None
        try:
            width, height = image_size(folder / file_name)
        except FileNotFoundError:
            self.left_out['images that are not there'].append(file_name)
            return None
        except OSError:
            self.left_out['images that cannot be read'].append(file_name)
            return None
        self._file_names.add(file_name)
        self.images.append(dict(id=len(self.images) + 1, file_name=file_name, width=width, height=height))
        return width, height

    def add_box(self, label: str, box: Sequence[float], ignore: bool, where: str, extra: dict | None = None) -> None:
        """Add a box to the image that was added last.

        Args:
            label: Its class; one that is not in ``classes`` leaves the box out.
            box: Edges (x1, y1, x2, y2) in pixels, 0 at the image's left and upper border.
            ignore: Written as ``iscrowd``: neither trained on nor counted for or against a detector.
            where: The file that holds the box, for the summary.
            extra: More keys of the annotation.
        """
        if label not in self._category_ids:
            self.left_out[f'boxes of a class that is not asked for ({label})'].append(where)
            return
        if not all(map(math.isfinite, box)) or box[2] <= box[0] or box[3] <= box[1]:
            self.left_out[NO_AREA].append(where)
            return
        image = self.images[-1]
        limits = (image['width'], image['height'])
        x1, y1, x2, y2 = (min(max(edge, 0), limits[axis % 2]) for axis, edge in enumerate(box))
        if x2 <= x1 or y2 <= y1:
            self.left_out['boxes outside their image'].append(where)
            return
        if max(abs(new - old) for new, old in zip((x1, y1, x2, y2), box)) > ROUNDING:
            self.noted['boxes cut at the border of their image'].append(where)
        self.annotations.append(
            dict(
                id=len(self.annotations) + 1,
                image_id=image['id'],
                category_id=self._category_ids[label],
                bbox=[x1, y1, x2 - x1, y2 - y1],
                area=(x2 - x1) * (y2 - y1),
                iscrowd=int(ignore),
                **(extra or {}),
            )
        )

    def require_images(self, source: str) -> None:
        """Raise UserError where there is no image; ``source`` says where they were to come from."""
        if not self.images:
            reasons = '; '.join(_counts(self.left_out)) or 'nothing is there'
            raise UserError(f'no usable image in {source} ({reasons}): give the folder that holds images and labels')

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all; folders are made."""
        content = dict(
            info=dict(description=self.description),
            images=self.images,
            annotations=self.annotations,
            categories=[
                # mmdet's coco_error_analysis requires a supercategory, and takes classes that share one for similar.
                dict(id=number, name=name, supercategory=name)
                for name, number in self._category_ids.items()
            ],
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f'{path.name}.unfinished')
        unfinished.write_text(json.dumps(content, allow_nan=False), encoding='utf-8')
        unfinished.replace(path)

    def summary(self) -> str:
        """Images, boxes, boxes a class, and by reason what was left out or noted, with the first few places."""
        with_boxes = {annotation['image_id'] for annotation in self.annotations}
        ignored = sum(annotation['iscrowd'] for annotation in self.annotations)
        boxes = Counter(annotation['category_id'] for annotation in self.annotations)
        lines = [
            f'{len(self.images)} images ({len(self.images) - len(with_boxes)} of them without boxes), '
            f'{len(self.annotations)} boxes ({ignored} of them to ignore)'
        ]
        lines += [f'  {number:3d} {name}: {boxes[number]}' for name, number in self._category_ids.items()]
        for heading, counts in (('left out', self.left_out), ('noted', self.noted)):
            lines += [f'  {heading}: {line}' for line in _counts(counts)]
        return '\n'.join(lines)


def _counts(reasons: dict[str, list[str]]) -> list[str]:
    lines = []
    for reason, places in reasons.items():
        names = list(dict.fromkeys(places))
        more = ', …' if len(names) > NAMES_SHOWN else ''
        lines.append(f'{reason}: {len(places)}, in {", ".join(names[:NAMES_SHOWN])}{more}')
    return lines


def choose_classes(asked: Sequence[str] | None, found: Iterable[str], source: str) -> tuple[str, ...]:
    """The classes that are asked for, in that order, or else those found, sorted.

    Args:
        asked: Class names of the user, or None.
        found: Class names in the data.
        source: Where the data are, for the errors.

    Raises:
        UserError: If a class is asked for twice or is not in the data, or the data have none.
    """
    found = sorted(set(found))
    if not found:
        raise UserError(f'{source} holds no labelled object: is it the right folder?')
    if asked is None:
        return tuple(found)
    if len(set(asked)) < len(asked):
        raise UserError(f'--classes names a class twice: {", ".join(asked)}')
    missing = [name for name in asked if name not in found]
    if missing:
        raise UserError(
            f'--classes asks for {", ".join(missing)}, which {source} does not have; its classes are {", ".join(found)}'
        )
    return tuple(asked)


def write_splits(converted: dict[str, CocoJson], out: Path, data_root: Path, image_prefix: str) -> str:
    """Write OUT/SPLIT.json for every split; nothing else is written, and images stay where they are.

    Args:
        converted: By split.
        out: The folder for the JSONs, made if absent.
        data_root: The folder of the data set.
        image_prefix: From there to the folder that file names are relative to; '' for none.

    Returns:
        What to print: summaries, and the keys of a config's data set.
    """
    lines = []
    for split, coco in converted.items():
        path = out / f'{split}.json'
        coco.write(path)
        lines.append(f'{path}: {coco.summary()}')
    prefix = f'{image_prefix}/' if image_prefix else ''
    classes = next(iter(converted.values())).classes
    lines += [
        'In a config:',
        f'  data_root={f"{data_root.as_posix()}/"!r}, data_prefix=dict(img={prefix!r}), '
        f'ann_file={_from(data_root, out)!r}',
        f'  metainfo=dict(classes={classes!r})',
    ]
    return '\n'.join(lines)


def _from(data_root: Path, out: Path) -> str:
    """The JSONs as mmengine looks for them: below the data root, or by an absolute path."""
    out, root = out.resolve(), data_root.resolve()
    return f'{(out.relative_to(root) if out.is_relative_to(root) else out).as_posix()}/SPLIT.json'
