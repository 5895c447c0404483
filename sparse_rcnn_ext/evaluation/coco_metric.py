"""mmdet's COCO metric with labels that go by the name."""

import numpy as np
from mmdet.evaluation import CocoMetric as MMDetCocoMetric

from sparse_rcnn_ext.datasets.coco_file import CocoFile
from sparse_rcnn_ext.engine.errors import UserError
from sparse_rcnn_ext.registry import METRICS


@METRICS.register_module()
class CocoMetric(MMDetCocoMetric):
    """COCO's AP and AR, computed by mmdet, with label i as the category that the data set's i-th class names.

    In mmdet it is the i-th of those categories of ``ann_file`` that the classes name, in the order of the file, and the
    lines of ``classwise`` are off where the ids do not ascend.

    Args:
        ann_file: The truth; None: what the data samples bring along as ``instances``.
        backend_args: Of the file backend that reads it.
        settings: See mmdet's CocoMetric. Its ``sort_categories`` makes no difference here.

    Raises:
        UserError: If ``ann_file`` cannot be used or lacks a class, or a detection has a label beyond the classes.
    """

    def __init__(self, ann_file: str | None = None, backend_args: dict | None = None, **settings) -> None:
        super().__init__(backend_args=backend_args, **settings)
        if ann_file is not None:
            self._coco_api = CocoFile(ann_file, backend_args)

    def compute_metrics(self, results: list[tuple[dict, dict]]) -> dict[str, float]:
        """The numbers from the truths and detections of all images."""
        classes = self.dataset_meta['classes']
        largest = max((int(found['labels'].max(initial=-1)) for _, found in results), default=-1)
        if largest >= len(classes):
            raise UserError(
                f'a detection has the label {largest}, and the data set has {len(classes)} classes: '
                f'set model.roi_head.bbox_head.num_classes to {len(classes)}'
            )
        # Where the truth comes with the samples, mmdet writes a file of its own, with the labels as ids.
        if isinstance(self._coco_api, CocoFile):
            ids = self._coco_api.ids_of(classes)
            # pycocotools sorts the ids, and mmdet takes its numbers by position: so the labels are to follow the ids.
            self.cat_ids = sorted(ids)
            places = np.argsort(np.argsort(ids))
            results = [(truth, {**found, 'labels': places[found['labels']]}) for truth, found in results]
        return super().compute_metrics(results)
