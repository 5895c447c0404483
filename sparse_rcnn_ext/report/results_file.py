"""Detections from a file in COCO's result format."""

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
from mmdet.datasets import BaseDetDataset, CocoDataset

from sparse_rcnn_ext.datasets.coco_file import CocoFile
from sparse_rcnn_ext.engine.errors import UserError


def read_results(path: Path, dataset: BaseDetDataset) -> list[dict]:
    """Read what ``tools/test.py --out`` writes.

    Args:
        path: A list of ``image_id``, ``category_id``, ``bbox`` (left, top, width, height in pixels) and ``score``.
        dataset: In COCO's format; categories that are none of its classes are left out.

    Returns:
        One entry for each image of the data set, in its order, see :class:`Predictions`.

    Raises:
        UserError: If the file cannot be read so, or names an image that the data set does not have.
    """
    if not isinstance(dataset, CocoDataset):
        kind = type(dataset).__name__
        raise UserError(f'{path} numbers images as COCO does, and the data set is a {kind}: give a checkpoint')
    coco = CocoFile(dataset.ann_file, dataset.backend_args)
    labels = {
        key: label for label, key in enumerate(coco.ids_of(dataset.metainfo['classes'], may_lack=dataset.test_mode))
    }
    by_image = defaultdict(list)
    try:
        for entry in json.loads(path.read_text(encoding='utf-8')):
            left, top, width, height = map(float, entry['bbox'])
            if entry['category_id'] in labels:
                box = (left, top, left + width, top + height)
                by_image[entry['image_id']].append((*box, float(entry['score']), labels[entry['category_id']]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = f'no {error}' if isinstance(error, KeyError) else error
        raise UserError(f"{path} cannot be read as detections in COCO's result format: {reason}") from error
    ids = [dataset.get_data_info(index)['img_id'] for index in range(len(dataset))]
    unknown = [image_id for image_id in by_image if image_id not in set(ids)]
    if unknown:
        raise UserError(f'{path} has detections in the image {unknown[0]!r}, which {dataset.ann_file} does not have')
    found = []
    for image_id in ids:
        rows = np.array(sorted(by_image[image_id], key=lambda row: -row[4]), dtype=float).reshape(-1, 6)
        found.append(
            dict(
                img_id=image_id,
                bboxes=rows[:, :4].astype(np.float32),
                scores=rows[:, 4].astype(np.float32),
                labels=rows[:, 5].astype(int),
            )
        )
    return found
