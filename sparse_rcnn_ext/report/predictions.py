"""The detections of every stage on a data set, from one pass."""

import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from mmdet.datasets import BaseDetDataset
from mmdet.models.detectors import BaseDetector
from mmengine.dataset import pseudo_collate
from mmengine.structures import InstanceData
from torch import Tensor
from torch.utils.data import DataLoader, Subset
from tqdm import tqdm

from sparse_rcnn_ext.datasets.joined import image_ids
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
