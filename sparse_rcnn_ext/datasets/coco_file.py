"""A COCO annotation file, looked through when it is read; a share of it may be held out for validation."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from mmdet.datasets.api_wrappers import COCO
from mmengine.dist import master_only
from mmengine.fileio import get
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.runner.base_loop import BaseLoop

from sparse_rcnn_ext.engine.checkpoints.atomic_file import write_atomically
from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.registry import HOOKS

from .coco_entries import KEYS, check_entries, some_names
from .joined import innermost


class CocoFile(COCO):
    """mmdet's COCO, read with checks, and asked for categories in the order in which they are named.

    Where an annotation says nothing, or null, on ``iscrowd`` or ``area``, which pycocotools looks up without a default,
    it is no crowd and as large as its box. What is marked ``ignore``, as difficult objects are, is a crowd: neither to
    find nor wrong to find. Without this mmdet would not train on it, and pycocotools count it as missed.

    Args:
        path: The file, as mmengine's file backends know it.
        backend_args: Of the backend.
        held_out: Take one part of the images: the arguments of :func:`~sparse_rcnn_ext.datasets.coco_file.part_of`.
        may_lack_annotations: See :func:`load_coco`.

    Raises:
        UserError: If it is no COCO detection file, or an id or a category's name stands in it twice.
    """

    def __init__(
        self,
        path: str,
        backend_args: dict | None = None,
        held_out: dict | None = None,
        may_lack_annotations: bool = False,
    ) -> None:
        super().__init__()
        self.path = path
        self.dataset = load_coco(path, backend_args, may_lack_annotations)
        if held_out:
            self.dataset['images'] = part_of(self.dataset['images'], **held_out)
            kept = {image['id'] for image in self.dataset['images']}
            self.dataset['annotations'] = [box for box in self.dataset['annotations'] if box['image_id'] in kept]
        for annotation in self.dataset['annotations']:
            if annotation.pop('ignore', False):
                annotation['iscrowd'] = 1
            if annotation.get('iscrowd') is None:
                annotation['iscrowd'] = 0
            if annotation.get('area') is None:
                annotation['area'] = annotation['bbox'][2] * annotation['bbox'][3]
        self.createIndex()
        # mmdet's names of the index that was made just now.
        self.img_ann_map, self.cat_img_map = self.imgToAnns, self.catToImgs

    def number_annotations(self) -> None:
        """Number the annotations from 1, in their order, for an evaluation by pycocotools.

        There a detection that matches the annotation 0, where many tools begin to count, matches none.
        """
        for number, annotation in enumerate(self.dataset['annotations'], start=1):
            annotation['id'] = number
        self.anns = {annotation['id']: annotation for annotation in self.dataset['annotations']}

    @property
    def names(self) -> tuple[str, ...]:
        """The categories in the order of the file."""
        return tuple(category['name'] for category in self.dataset['categories'])

    def ids_of(self, classes: Sequence[str], may_lack: bool = False) -> list:
        """The category ids of ``classes``, in that order: the place of an id is the label of its category.

        Args:
            classes: Names.
            may_lack: Whether the file may have no object of some classes, and not list them either; they get an id of
                their own. But if it has objects of other names, these may be misspelt.

        Raises:
            UserError: If the file lacks one. It lists what is missing and what the file has.
        """
        known = {category['name']: category['id'] for category in self.dataset['categories']}
        boxes = self.boxes_by_category if may_lack and not known.keys() >= {*classes} else None
        ids = ids_of_classes(self.path, known, boxes, classes)
        for name, number in zip(classes, ids):
            if name not in known:
                self.cats[number] = dict(id=number, name=name)
                self.dataset['categories'].append(self.cats[number])
        return ids

    @property
    def boxes_by_category(self) -> Counter:
        """How many annotations there are of each category id, listed or not."""
        return Counter(annotation['category_id'] for annotation in self.dataset['annotations'])


def ids_of_classes(path: str, known: dict, boxes: Mapping | None, classes: Sequence[str]) -> list:
    """The category ids of ``classes``, see :meth:`CocoFile.ids_of`.

    Args:
        path: Of the file, for the error.
        known: The ids of its categories, by name.
        boxes: If it may lack classes: how many annotations it has of each category id; None: it must not.
        classes: Names.

    Raises:
        UserError: If the file lacks a class.
    """
    missing = [name for name in classes if name not in known]
    # Objects of other names may be the missing ones, misspelt.
    may_lack = boxes is not None and boxes.keys() <= {known[name] for name in classes if name in known}
    if missing and not (may_lack and len(missing) < len(classes)):
        raise UserError(
            f"{path} lacks {len(missing)} of the config's {len(classes)} classes, {some_names(missing)}, and has the "
            f'categories {some_names([*known])}: set metainfo.classes to names as the file writes them'
        )
    # Ids are all numbers or all texts, and come in order.
    last = max(known.values(), default=0)
    added = {
        name: f'{last}{place}' if isinstance(last, str) else int(last) + place
        for place, name in enumerate(missing, start=1)
    }
    return [known.get(name, added.get(name)) for name in classes]


def load_coco(path: str, backend_args: dict | None = None, may_lack_annotations: bool = False) -> dict:
    """Read a COCO detection file as it is.

    Args:
        path: The file, as mmengine's file backends know it.
        backend_args: Of the backend.
        may_lack_annotations: Whether the list of them may be missing, as in the files of COCO's test images; then it
            is empty.

    Returns:
        Its content. Every category has ``id`` and ``name``, every image ``id``, ``file_name``, ``width`` and
        ``height`` (above 0), every annotation ``id``, ``image_id``, ``category_id`` and a ``bbox`` of four numbers
        (left, top, width, height in pixels; NaN is a number too); ids and names are unique, ids all numbers or all
        texts. ``iscrowd`` is 0 or 1 and ``area`` a number, where they stand and are not null.

    Raises:
        UserError: If it is not so.
    """
    try:
        content = json.loads(get(path, backend_args=backend_args))
    except FileNotFoundError:
        raise UserError(f'the annotation file {path} does not exist') from None
    except OSError as error:
        raise UserError(f'the annotation file {path} cannot be read: {error.strerror or error}') from None
    except (ValueError, RecursionError) as error:
        raise UserError(f'{path} is empty, cut off or no JSON ({error}): write it anew') from None
    if not isinstance(content, dict):
        raise UserError(f'{path} holds a {type(content).__name__}: a COCO file is an object of {", ".join(KEYS)}')
    if may_lack_annotations:
        content.setdefault('annotations', [])
    check_entries(path, content)
    return content


PARTS = ('train', 'val')
HELD_OUT_FILE = 'held_out.txt'


def part_of(images: Sequence[dict], part: str, val_fraction: float, split_seed: int = 0) -> list[dict]:
    """The images of a part, in their order.

    Those held out are the ``val_fraction`` of all images, at least one, whose file names come first when hashed
    together with the seed: the same on every machine, whatever the order in the file, and nearly the same when images
    are added.

    Args:
        images: Of a COCO file, with ``file_name``.
        part: 'train' or 'val'.
        val_fraction: Between 0 and 1.
        split_seed: Another one holds out other images.

    Raises:
        UserError: If a setting is none of these, or a part would be empty.
    """
    check_fraction(val_fraction, split_seed)
    if part not in PARTS:
        raise UserError(f"the part of a held_out is {part!r}: set it to 'train' or 'val'")
    count = max(1, round(len(images) * val_fraction))
    if count >= len(images):
        raise UserError(
            f'val_fraction={val_fraction:g} of {len(images)} images holds out {count} and leaves none to learn from: '
            'give more images, or a smaller fraction'
        )
    ranked = sorted(range(len(images)), key=lambda place: (_hash(images[place]['file_name'], split_seed), place))
    held_out = set(ranked[:count])
    return [image for place, image in enumerate(images) if (place in held_out) == (part == 'val')]


def check_fraction(val_fraction: object, split_seed: object) -> None:
    """Raise UserError unless these are a number between 0 and 1, and a whole number."""
    if type(val_fraction) not in (int, float) or not 0 < val_fraction < 1:
        raise UserError(f'val_fraction is {val_fraction!r}: set it to a number between 0 and 1, such as 0.2')
    if type(split_seed) is not int:
        raise UserError(f'split_seed is {split_seed!r}: set it to a whole number')


def _hash(file_name: str, seed: int) -> bytes:
    return hashlib.sha256(f'{seed}/{file_name}'.encode(errors='surrogatepass')).digest()


@HOOKS.register_module()
class HeldOutHook(Hook):
    """Writes which images are held out of the one file for all (``val_fraction``) into the run's folder.

    ``held_out.txt`` has one a line, as they stand in the annotation files. Where training and validation have files of
    their own, nothing is written.
    """

    @master_only
    def before_train(self, runner: Runner) -> None:
        """Write the file."""
        loop = runner._val_loop
        parts = innermost(loop.dataloader.dataset) if isinstance(loop, BaseLoop) else []
        names = [
            name for part in parts if getattr(part, 'held_out', None) is not None for name in part.held_out_names()
        ]
        if not names:
            return
        text = ''.join(f'{name}\n' for name in names)
        write_atomically(Path(runner.work_dir, HELD_OUT_FILE), text.encode(errors='surrogatepass'))
        runner.logger.info(
            f'{len(names)} images are held out for validation: {HELD_OUT_FILE} in {runner.work_dir} lists them.'
        )
