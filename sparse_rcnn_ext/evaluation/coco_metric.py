"""mmdet's COCO metric: labels by their name, computed by a fast library, over the images that were run."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from mmdet.datasets.api_wrappers import COCO
from mmdet.evaluation import CocoMetric as MMDetCocoMetric
from mmdet.evaluation import MultiDatasetsEvaluator
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.logging import MMLogger
from torch.utils.data import Dataset

from sparse_rcnn_ext.datasets.coco_file import CocoFile, some_names
from sparse_rcnn_ext.datasets.joined import find_image
from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.registry import METRICS

from .box_evaluation import (
    PRECISIONS,
    RECALLS_OF_MMDET,
    are_finite,
    box_numbers,
    evaluate_boxes,
    numbers_by_class,
    proposal_numbers,
    recall_names,
)

BACKENDS = ('hotcoco', 'pycocotools')


@METRICS.register_module()
class CocoMetric(MMDetCocoMetric):
    """COCO's AP and AR, with label i as the category that the data set's i-th class names.

    In mmdet it is the i-th of those categories of ``ann_file`` that the classes name, in the order of the file, and the
    lines of ``classwise`` are off where the ids do not ascend.

    Recalls have the names of what ``proposal_nums`` allows: AR@1, AR@10, AR@100, AR_s@100, AR_m@100 and AR_l@100 for 1,
    10 and 100. mmdet says AR@100, AR@300 and AR@1000 whatever they are.

    Args:
        ann_file: The truth; None: what the data samples bring along as ``instances``.
        backend_args: Of the file backend that reads ``ann_file``.
        backend: What computes ``bbox`` and ``proposal``: 'hotcoco', or 'pycocotools' by way of mmdet, which gives the
            same numbers, to 1e-12, in more than forty times the time. A ``metric`` that names ``segm`` is computed by
            mmdet in any case.
        held_out: That of the data set, if it has one: a part of the images of ``ann_file``.
        settings: See mmdet's CocoMetric. Its ``sort_categories`` makes no difference here.

    Raises:
        UserError: If ``ann_file`` cannot be used or lacks a class or an image, or all annotations without
            ``format_only``, a detection has a label beyond the classes, or a setting is none of those that there are.
    """

    def __init__(
        self,
        ann_file: str | None = None,
        backend_args: dict | None = None,
        backend: str = 'hotcoco',
        held_out: dict | None = None,
        **settings,
    ) -> None:
        if settings.get('format_only') and settings.get('outfile_prefix') is None:
            raise UserError(
                'the CocoMetric has format_only and no outfile_prefix: set it, or give tools/test.py --out FILE.json'
            )
        super().__init__(backend_args=backend_args, **settings)
        if backend not in BACKENDS:
            raise UserError(f'backend of the CocoMetric is {backend!r}: set it to one of {some_names(BACKENDS)}')
        if self.use_mp_eval and backend != 'pycocotools':
            raise UserError("use_mp_eval of the CocoMetric is pycocotools': leave it out or set backend='pycocotools'")
        if 'proposal_fast' in self.metrics:
            # It makes one array of matrices that differ in shape.
            raise UserError("metric 'proposal_fast' of mmdet fails with numpy 1.24 and later: set it to 'proposal'")
        if len(self.proposal_nums) < 3:
            given = tuple(self.proposal_nums)
            raise UserError(f'proposal_nums of the CocoMetric is {given}: give three numbers, such as (1, 10, 100)')
        self.recalls = recall_names(self.proposal_nums)
        known = PRECISIONS + self.recalls
        unknown = [item for item in self.metric_items or () if item not in known]
        if unknown:
            raise UserError(f'metric_items of the CocoMetric has {some_names(unknown)}: take of {some_names(known)}')
        self.backend = backend
        self.last_detections: list[dict] | None = None
        """What the last evaluation was made from, on rank 0: ``img_id``, ``bboxes`` in xyxy pixels, ``scores`` and
        ``labels`` of each image."""
        # pycocotools looks a threshold up in an array; a config can only give numbers.
        self.iou_thrs = np.atleast_1d(self.iou_thrs)
        if ann_file is not None:
            self._coco_api = CocoFile(ann_file, backend_args, held_out, may_lack_annotations=True)
            self._coco_api.number_annotations()

    @MMDetCocoMetric.dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict) -> None:
        """What the data set says of itself, which a run sets before its first iteration."""
        if isinstance(self._coco_api, CocoFile) and 'classes' in dataset_meta:
            self._coco_api.ids_of(dataset_meta['classes'], may_lack=True)
        if isinstance(self._coco_api, CocoFile) and not (self._coco_api.anns or self.format_only):
            raise UserError(
                f'{self._coco_api.path} has no annotations to evaluate with: set format_only=True of the evaluator and '
                'give tools/test.py --out FILE.json, which then writes the detections alone'
            )
        self._dataset_meta = dataset_meta

    def compute_metrics(self, results: list[tuple[dict, dict]]) -> dict[str, float]:
        """The numbers from the truths and detections of all images."""
        classes = self.dataset_meta['classes']
        # Those of an image without detections may have any type.
        results = [(truth, {**found, 'labels': found['labels'].astype(np.int64)}) for truth, found in results]
        self.last_detections = [found for _, found in results]
        largest = max((int(found['labels'].max(initial=-1)) for _, found in results), default=-1)
        if largest >= len(classes):
            raise UserError(
                f'a detection has the label {largest}, and the data set has {len(classes)} classes: '
                f'set model.roi_head.bbox_head.num_classes to {len(classes)}'
            )
        # Where the truth comes with the samples, mmdet writes a file of its own, with the labels as ids.
        if isinstance(self._coco_api, CocoFile):
            self._refuse_unknown_images(results)
            self.img_ids = self._images_that_ran(results)
            ids = self._coco_api.ids_of(classes)
            # pycocotools sorts the ids, and mmdet takes its numbers by position: so the labels are to follow the ids.
            self.cat_ids = sorted(ids)
            places = np.argsort(np.argsort(ids))
            results = [(truth, {**found, 'labels': places[found['labels']]}) for truth, found in results]
        if self.backend == 'pycocotools' or self.format_only or 'segm' in self.metrics:
            return self._compute_by_mmdet(results)
        return self._compute_fast(results)

    def _compute_by_mmdet(self, results: list[tuple[dict, dict]]) -> dict[str, float]:
        """What mmdet computes, whose names of the recalls are those of its own ``proposal_nums``."""
        items, theirs = self.metric_items, dict(zip(self.recalls, RECALLS_OF_MMDET))
        self.metric_items = items and [theirs.get(item, item) for item in items]
        try:
            numbers = super().compute_metrics(results)
        finally:
            self.metric_items = items
        ours = {
            f'{prefix}{their}': f'{prefix}{our}' for our, their in theirs.items() for prefix in ('', 'bbox_', 'segm_')
        }
        return {ours.get(name, name): value for name, value in numbers.items()}

    def _refuse_unknown_images(self, results: list[tuple[dict, dict]]) -> None:
        truth = self._coco_api
        unknown = [
            found['img_id'] for _, found in results if len(found['labels']) and found['img_id'] not in truth.imgs
        ]
        if unknown:
            raise UserError(
                f'{truth.path} has no image with the id {unknown[0]!r} ({len(unknown)} unknown in all): '
                "set the evaluator's ann_file to that of the data set"
            )

    def _images_that_ran(self, results: list[tuple[dict, dict]]) -> list:
        """Ids of the images to evaluate on: what was not run, as with ``indices`` of the data set, was not missed."""
        truth, ran = self._coco_api, {found['img_id'] for _, found in results}
        images = [image_id for image_id in truth.get_img_ids() if image_id in ran]
        if len(images) < len(truth.imgs):
            MMLogger.get_current_instance().warning(
                f'{truth.path} has {len(truth.imgs)} images: the evaluation is of the {len(images)} that were run'
            )
        return images

    def _compute_fast(self, results: list[tuple[dict, dict]]) -> dict[str, float]:
        """mmdet's numbers, files and log, but a result file only where ``outfile_prefix`` asks for it."""
        logger = MMLogger.get_current_instance()
        detections = [found for _, found in results]
        if self._coco_api is None:
            logger.info('Converting ground truth to coco format...')
            with TemporaryDirectory() as folder:
                prefix = self.outfile_prefix or str(Path(folder) / 'results')
                self._coco_api = COCO(self.gt_to_coco_json([truth for truth, _ in results], prefix))
        truth = self._coco_api
        if self.cat_ids is None:
            self.cat_ids = truth.get_cat_ids(cat_names=self.dataset_meta['classes'])
        if not are_finite(truth, detections):
            logger.warning('a box or a score is infinite or NaN: this evaluation is left to pycocotools')
            return self._compute_by_mmdet(results)
        if self.outfile_prefix is not None:
            self.results2json(detections, self.outfile_prefix)
        numbers = {}
        for metric in self.metrics:
            logger.info(f'Evaluating {metric}...')
            if not any(len(found['labels']) for found in detections):
                logger.error('The testing results of the whole dataset is empty.')
                break
            by_class = metric == 'bbox'
            evaluation = evaluate_boxes(
                truth, self.cat_ids, detections, by_class, self.proposal_nums, self.iou_thrs, self.img_ids
            )
            if not by_class:
                numbers |= proposal_numbers(evaluation, self.metric_items)
                continue
            if self.classwise:
                lines, table = numbers_by_class(evaluation, [truth.cats[number]['name'] for number in self.cat_ids])
                logger.info(f'\n{table}')
                numbers |= lines
            numbers |= box_numbers(evaluation, self.metric_items)
            logger.info('bbox_mAP_copypaste: ' + ' '.join(f'{value:.3f}' for value in evaluation.stats[:6]))
        return numbers


def judge_what_runs(evaluator: Evaluator, dataset: Dataset) -> None:
    """Tell mmdet's COCO metrics which images of their file the data set has, which takes a part by ``indices``.

    They count every image of ``ann_file``, so what is found in those that are run seems a small part of what there is.
    Our metric asks what was run when it computes; those of mmdet know it from here on, and a warning says so.

    Args:
        evaluator: That of a test or validation; other metrics stay as they are.
        dataset: What is run, also one that joins or wraps others.
    """
    for metric, part in _pairs(evaluator, dataset):
        # Without a file of its own a metric takes the truth from what is run.
        truth = getattr(metric, '_coco_api', None)
        if not isinstance(metric, MMDetCocoMetric) or isinstance(metric, CocoMetric) or truth is None:
            continue
        if len(part) >= len(truth.imgs):
            continue
        places = [find_image(part, index) for index in range(len(part))]
        if not all(hasattr(owner, 'get_data_info') for owner, _ in places):
            continue  # one of the user's own, which does not tell
        ran = {owner.get_data_info(place).get('img_id') for owner, place in places}
        metric.img_ids = [number for number in truth.imgs if number in ran]
        MMLogger.get_current_instance().warning(
            f"ann_file of mmdet's {type(metric).__name__} has {len(truth.imgs)} images: the evaluation is of the "
            f'{len(metric.img_ids)} that are run'
        )


def _pairs(evaluator: Evaluator, dataset: Dataset) -> Iterator[tuple[BaseMetric, Dataset]]:
    if isinstance(evaluator, MultiDatasetsEvaluator):
        yield from zip(evaluator.metrics, dataset.datasets)
    else:
        yield from ((metric, dataset) for metric in evaluator.metrics)
