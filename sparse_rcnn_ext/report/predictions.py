"""The detections of every stage on a data set, from one pass, or those in a file of COCO's result format."""

import json
import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from mmdet.datasets import BaseDetDataset, CocoDataset
from mmdet.models.detectors import BaseDetector
from mmengine.dataset import pseudo_collate
from mmengine.structures import InstanceData
from torch import Tensor
from torch.utils.data import DataLoader, Subset
from tqdm import tqdm

from sparse_rcnn_ext.datasets.coco_file import CocoFile
from sparse_rcnn_ext.datasets.joined import image_ids
from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.models import SparseRCNN
from sparse_rcnn_ext.models.post_process import top_detections
from sparse_rcnn_ext.models.targets import pack_image_whwh, pack_scale_factors


class Predictions(NamedTuple):
    """What a model found."""

    stages: list[list[dict]]
    """For each stage, and in it for each image: ``img_id`` (see :func:`~sparse_rcnn_ext.datasets.joined.image_ids`),
    ``bboxes`` (n, 4) xyxy in pixels of the file, ``scores`` (n,) falling and ``labels`` (n,), as numpy arrays. One
    stage for a model that is no SparseRCNN."""
    uses: np.ndarray | None
    """(N,) in how many images each proposal ends with a score of at least the threshold; None without proposals."""


def predict_stages(
    model: BaseDetector,
    dataset: BaseDetDataset,
    indices: Sequence[int],
    batch_size: int,
    num_workers: int,
    score_thr: float,
    progress: bool,
) -> Predictions:
    """Run a model over images of a data set, in their order.

    Args:
        model: In eval mode, on its device; any detector of mmdet.
        dataset: With a test pipeline.
        indices: Images of the data set.
        batch_size: Images in a batch.
        num_workers: Processes that load images; 0: this one.
        score_thr: For the use of proposals.
        progress: Whether to show a bar.
    """
    loader = DataLoader(
        Subset(dataset, indices),
        batch_size=batch_size,
        num_workers=num_workers,
        collate_fn=pseudo_collate,
        # As mmengine's runner does; by default Python 3.14 would import everything anew and pickle the data set.
        multiprocessing_context='fork' if num_workers and os.name == 'posix' else None,
    )
    ids = iter(image_ids(dataset, indices))
    stages: list[list[dict]] = []
    uses = None
    for batch in tqdm(loader, 'detecting', unit='batch', leave=False, disable=not progress):
        with torch.no_grad():
            if isinstance(model, SparseRCNN):
                found, best = _all_stages(model, batch)
                used = (best >= score_thr).sum(dim=0).cpu().numpy()
                uses = used if uses is None else uses + used
            else:
                samples = model.test_step(batch)
                found = [[(x.pred_instances.bboxes, x.pred_instances.scores, x.pred_instances.labels) for x in samples]]
        stages = stages or [[] for _ in found]
        batch_ids = [next(ids) for _ in found[0]]
        for stage, of_stage in zip(stages, found, strict=True):
            stage += [_record(image_id, *parts) for image_id, parts in zip(batch_ids, of_stage, strict=True)]
    return Predictions(stages, uses)


def _all_stages(model: SparseRCNN, batch: dict) -> tuple[list[list[tuple[Tensor, Tensor, Tensor]]], Tensor]:
    """Boxes, scores and labels by stage and image, and each proposal's best score in the last stage, (B, N)."""
    data = model.data_preprocessor(batch, False)
    samples = data['data_samples']
    outputs = model.forward_stages(data['inputs'], pack_image_whwh(samples, data['inputs']))
    scores = model.roi_head.scores(outputs.logits)  # (S, B, N, K)
    scale = pack_scale_factors(samples, outputs.boxes)  # (B, 4)
    found = []
    for stage_scores, stage_boxes in zip(scores, outputs.boxes, strict=True):
        boxes, best, labels = top_detections(stage_scores, stage_boxes, model.max_per_img, model.roi_head.one_label)
        images = [
            model.finish(InstanceData(bboxes=image[0], scores=image[1], labels=image[2]), sample)
            for *image, sample in zip(boxes / scale[:, None], best, labels, samples, strict=True)
        ]
        found.append([(image.bboxes, image.scores, image.labels) for image in images])
    return found, scores[-1].amax(dim=-1)


def _record(image_id: int | str, boxes: Tensor, scores: Tensor, labels: Tensor) -> dict:
    return dict(img_id=image_id, bboxes=boxes.cpu().numpy(), scores=scores.cpu().numpy(), labels=labels.cpu().numpy())


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
