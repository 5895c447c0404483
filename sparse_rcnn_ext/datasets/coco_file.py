"""A COCO annotation file that was looked through when it was read."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence

from mmdet.datasets.api_wrappers import COCO
from mmengine.fileio import get

from sparse_rcnn_ext.errors import UserError

from .coco_entries import KEYS, check_entries, some_names
from .held_out import part_of


class CocoFile(COCO):
    """mmdet's COCO, read with checks, and asked for categories in the order in which they are named.

    Where an annotation says nothing, or null, on ``iscrowd`` or ``area``, which pycocotools looks up without a default,
    it is no crowd and as large as its box. What is marked ``ignore``, as difficult objects are, is a crowd: neither to
    find nor wrong to find. Without this mmdet would not train on it, and pycocotools count it as missed.

    Args:
        path: The file, as mmengine's file backends know it.
        backend_args: Of the backend.
        held_out: Take one part of the images: the arguments of :func:`~sparse_rcnn_ext.datasets.held_out.part_of`.
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
