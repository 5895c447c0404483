"""The ground truth of a data set's images, as COCO's evaluation takes it."""

import math
from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO

from mmdet.datasets import BaseDetDataset, CocoDataset
from pycocotools.coco import COCO

from sparse_rcnn_ext.datasets.coco_file import CocoFile


def read_truth(dataset: BaseDetDataset, indices: Sequence[int]) -> COCO:
    """All boxes of some images, with the label as category.

    Those of a COCO file come from the file, so that the numbers are those of a validation: objects as large as their
    masks, and boxes that the data set leaves out. Those of other formats come from the data set; what it ignores, such
    as VOC's difficult objects, is a crowd.

    Args:
        dataset: Any of mmdet's, also a concatenation.
        indices: Images of the data set.

    Returns:
        Images with ``id``, categories with ``id`` and ``name``, annotations with ``id`` (from 1), ``image_id``,
        ``category_id``, ``bbox`` (left, top, width, height in pixels of the file), ``area`` and ``iscrowd``.
    """
    classes = dataset.metainfo['classes']
    infos = [dataset.get_data_info(index) for index in indices]
    # pycocotools prints when it makes an index.
    with redirect_stdout(StringIO()):
        boxes = _from_file(dataset, infos) if isinstance(dataset, CocoDataset) else _from_instances(infos)
        return _with_index(infos, classes, boxes)


def _with_index(infos: list[dict], classes: Sequence[str], boxes: list[dict]) -> COCO:
    truth = COCO()
    truth.dataset = dict(
        images=[dict(id=info['img_id']) for info in infos],
        categories=[dict(id=label, name=name) for label, name in enumerate(classes)],
        annotations=[
            dict(box, id=number)
            for number, box in enumerate((box for box in boxes if all(map(math.isfinite, box['bbox']))), start=1)
        ],
    )
    truth.createIndex()
    return truth


def _from_file(dataset: CocoDataset, infos: list[dict]) -> list[dict]:
    coco = CocoFile(dataset.ann_file, dataset.backend_args)
    labels = {
        key: label for label, key in enumerate(coco.ids_of(dataset.metainfo['classes'], may_lack=dataset.test_mode))
    }
    return [
        dict(
            image_id=info['img_id'],
            category_id=labels[entry['category_id']],
            bbox=[float(value) for value in entry['bbox']],
            area=float(entry['area']),
            iscrowd=int(bool(entry['iscrowd'])),
        )
        for info in infos
        for entry in coco.img_ann_map[info['img_id']]
        if entry['category_id'] in labels
    ]


def _from_instances(infos: list[dict]) -> list[dict]:
    boxes = []
    for info in infos:
        for instance in info['instances']:
            left, top, right, bottom = map(float, instance['bbox'])
            width, height = right - left, bottom - top
            boxes.append(
                dict(
                    image_id=info['img_id'],
                    category_id=instance['bbox_label'],
                    bbox=[left, top, width, height],
                    area=width * height,
                    iscrowd=int(instance['ignore_flag']),
                )
            )
    return boxes
