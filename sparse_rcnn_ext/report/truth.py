"""The ground truth of a data set's images, as COCO's evaluation takes it."""

import math
from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO

from mmdet.datasets import BaseDetDataset, CocoDataset
from pycocotools.coco import COCO

from sparse_rcnn_ext.datasets.coco_file import CocoFile
from sparse_rcnn_ext.datasets.joined import find_image, image_ids


def read_truth(dataset: BaseDetDataset, indices: Sequence[int]) -> COCO:
    """All boxes of some images, with the label as category.

    Those of a COCO file come from the file, so that the numbers are those of a validation: objects as large as their
    masks, and boxes that the data set leaves out. Those of other formats come from the data set; what it ignores, such
    as VOC's difficult objects, is a crowd.

    Args:
        dataset: Any of mmdet's, also several that are joined.
        indices: Images of the data set.

    Returns:
        Images with ``id`` (see :func:`~sparse_rcnn_ext.datasets.joined.image_ids`), categories with ``id`` and
        ``name``, annotations with ``id`` (from 1), ``image_id``, ``category_id``, ``bbox`` (left, top, width, height in
        pixels of the file), ``area`` and ``iscrowd``.
    """
    classes = dataset.metainfo['classes']
    ids = image_ids(dataset, indices)
    of_parts: dict[int, tuple[BaseDetDataset, dict[int | str, dict]]] = {}
    for number, index in zip(ids, indices, strict=True):
        part, place = find_image(dataset, index)
        of_parts.setdefault(id(part), (part, {}))[1][number] = part.get_data_info(place)
    # pycocotools prints when it makes an index.
    with redirect_stdout(StringIO()):
        boxes = [
            box
            for part, infos in of_parts.values()
            for box in (_from_file(part, infos) if isinstance(part, CocoDataset) else _from_instances(infos))
        ]
        return _with_index(ids, classes, boxes)


def _with_index(ids: list[int | str], classes: Sequence[str], boxes: list[dict]) -> COCO:
    truth = COCO()
    truth.dataset = dict(
        images=[dict(id=number) for number in ids],
        categories=[dict(id=label, name=name) for label, name in enumerate(classes)],
        annotations=[
            dict(box, id=number)
            for number, box in enumerate((box for box in boxes if all(map(math.isfinite, box['bbox']))), start=1)
        ],
    )
    truth.createIndex()
    return truth


def _from_file(dataset: CocoDataset, infos: dict[int | str, dict]) -> list[dict]:
    coco = CocoFile(dataset.ann_file, dataset.backend_args)
    labels = {
        key: label for label, key in enumerate(coco.ids_of(dataset.metainfo['classes'], may_lack=dataset.test_mode))
    }
    return [
        dict(
            image_id=number,
            category_id=labels[entry['category_id']],
            bbox=[float(value) for value in entry['bbox']],
            area=float(entry['area']),
            iscrowd=int(bool(entry['iscrowd'])),
        )
        for number, info in infos.items()
        for entry in coco.img_ann_map[info['img_id']]
        if entry['category_id'] in labels
    ]


def _from_instances(infos: dict[int | str, dict]) -> list[dict]:
    boxes = []
    for number, info in infos.items():
        for instance in info['instances']:
            left, top, right, bottom = map(float, instance['bbox'])
            width, height = right - left, bottom - top
            boxes.append(
                dict(
                    image_id=number,
                    category_id=instance['bbox_label'],
                    bbox=[left, top, width, height],
                    area=width * height,
                    iscrowd=int(instance['ignore_flag']),
                )
            )
    return boxes
