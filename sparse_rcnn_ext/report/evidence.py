"""What a report knows of a model: its detections on a data set, and the ground truth by which they are judged."""

import math
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cached_property
from io import StringIO
from pathlib import Path

import numpy as np
import torch
from mmdet.datasets import BaseDetDataset, CocoDataset
from mmdet.models.detectors import BaseDetector
from mmdet.registry import DATASETS, MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from pycocotools.coco import COCO

from sparse_rcnn_ext.datasets.coco_file import CocoFile
from sparse_rcnn_ext.datasets.joined import find_image, image_ids, settle_classes
from sparse_rcnn_ext.engine.config.config_parts import scope_of
from sparse_rcnn_ext.engine.config.paths import check_data_paths
from sparse_rcnn_ext.models import SparseRCNN
from sparse_rcnn_ext.prediction.predictor import load_weights, read_weights

from .outcomes import ImageOutcome, Judgement, judge, judge_images
from .predictions import Predictions, predict_stages


@dataclass(frozen=True)
class Evidence:
    """A model and what it found."""

    model: BaseDetector
    """In eval mode, on the CPU."""
    dataset: BaseDetDataset
    phase: str
    """``'val'`` or ``'test'``, the part of the config that the data set is of."""
    indices: list[int]
    """The images of the data set that were judged."""
    judgement: Judgement
    """Of the model's detections on them."""
    stages: list[Judgement]
    """Of each stage's detections, on the images that the model was run on."""
    predictions: Predictions
    score_thr: float

    @property
    def is_sparse(self) -> bool:
        """Whether the model is one of proposals and stages."""
        return isinstance(self.model, SparseRCNN)

    @property
    def num_run(self) -> int:
        """On how many images the model was run."""
        return len(self.predictions.stages[-1])

    @cached_property
    def outcomes(self) -> list[ImageOutcome]:
        """What became of each image in ``indices``."""
        return judge_images(self.judgement, self.score_thr)


def build_dataset(cfg: Config, phases: Sequence[str]) -> tuple[str, BaseDetDataset] | None:
    """The first data set that the config has of some phases, such as ``('val', 'test')``, and its phase.

    Raises:
        UserError: If its files are not where the config says.
    """
    phase = next((phase for phase in phases if cfg.get(f'{phase}_dataloader')), None)
    if phase is None:
        return None
    check_data_paths(cfg, (phase,))
    init_default_scope(scope_of(cfg))
    return phase, settle_classes(DATASETS.build(cfg[f'{phase}_dataloader'].dataset), f'{phase}_dataloader.dataset')


def gather_evidence(
    cfg: Config,
    checkpoint: Path,
    dataset: BaseDetDataset | None,
    detections: Sequence[dict] | None,
    max_images: int | None,
    score_thr: float,
    progress: bool,
) -> Evidence | None:
    """Run a model over its validation images, else its test images; None where the config names neither.

    Args:
        cfg: The config of the run.
        checkpoint: The weights.
        dataset: The validation images, where they are at hand already.
        detections: What they found in all images of the data set, see :class:`Predictions`, where that is known
            already; the model then runs for the stages alone.
        max_images: The model runs on so many images at most, spread evenly; None: on all.
        score_thr: For the use of proposals and all that needs a threshold.
        progress: Whether to show a bar.

    Raises:
        UserError: If the data are not where the config says, or the checkpoint does not fit it.
    """
    built = build_dataset(cfg, ('val', 'test')) if dataset is None else ('val', dataset)
    if built is None:
        return None
    phase, dataset = built
    loader = cfg[f'{phase}_dataloader']
    classes, total = dataset.metainfo['classes'], len(dataset)
    indices = np.linspace(0, total - 1, min(total, max_images or total)).astype(int).tolist()
    model = load_detector(cfg, str(checkpoint))
    workers = loader.get('num_workers', 0)
    batch_size = loader.get('batch_size') or 1
    predictions = predict_stages(model, dataset, indices, batch_size, workers, score_thr, progress)
    truth = read_truth(dataset, indices)
    stages = [judge(truth, found, classes) for found in predictions.stages]
    judgement = stages[-1]
    if detections is not None and len(indices) < total:
        indices = list(range(total))
        judgement = judge(read_truth(dataset, indices), _in_order(detections, dataset), classes)
    return Evidence(model.cpu(), dataset, phase, indices, judgement, stages, predictions, score_thr)


def load_detector(cfg: Config, checkpoint: str) -> BaseDetector:
    """The model of ``cfg`` with all weights of a checkpoint, in eval mode, on the GPU if there is one.

    Raises:
        UserError: If the checkpoint does not fit.
    """
    model = MODELS.build(cfg.model)
    load_weights(model, read_weights(checkpoint), checkpoint)
    return model.eval().to('cuda' if torch.cuda.is_available() else 'cpu')


def _in_order(detections: Sequence[dict], dataset: BaseDetDataset) -> list[dict]:
    """One entry for each image of the data set, in its order."""
    ids = image_ids(dataset, range(len(dataset)))
    if find_image(dataset, 0)[0] is not dataset:
        # A validation gives them in order, by ids that several data sets may have in common.
        return [dict(found, img_id=number) for number, found in zip(ids, detections, strict=True)]
    by_image = {found['img_id']: found for found in detections}
    return [by_image[number] for number in ids]


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
            for box in (_boxes_of_file(part, infos) if isinstance(part, CocoDataset) else _boxes_of_instances(infos))
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


def _boxes_of_file(dataset: CocoDataset, infos: dict[int | str, dict]) -> list[dict]:
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


def _boxes_of_instances(infos: dict[int | str, dict]) -> list[dict]:
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
