"""mmdet's own COCO metrics count the images that were run, and no others."""

from collections.abc import Iterator

from mmdet.evaluation import CocoMetric as MMDetCocoMetric
from mmdet.evaluation import MultiDatasetsEvaluator
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.logging import MMLogger
from torch.utils.data import Dataset

from sparse_rcnn_ext.datasets.joined import find_image

from .coco_metric import CocoMetric


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
