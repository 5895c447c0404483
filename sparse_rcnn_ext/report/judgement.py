"""Detections and ground truth, judged by COCO's rules."""

from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from sparse_rcnn_ext.evaluation.box_evaluation import evaluate_boxes

STATS = ('AP', 'AP50', 'AP75', 'AP small', 'AP medium', 'AP large')
"""The first six lines of COCO's table."""
_IOUS = np.linspace(0.5, 0.95, 10)
_MAX_DETECTIONS = (1, 10, 100)


@dataclass(frozen=True)
class Judgement:
    """A COCO evaluation, and what went into it."""

    truth: COCO
    found: list[dict]
    classes: tuple[str, ...]
    evaluation: COCOeval | None
    """None where nothing was found."""

    @property
    def stats(self) -> dict[str, float]:
        """The values of ``STATS``, from 0 to 1; NaN where there is no object."""
        values = [0.0] * len(STATS) if self.evaluation is None else self.evaluation.stats[: len(STATS)]
        return {name: float(value) if value >= 0 else float('nan') for name, value in zip(STATS, values)}

    def precision(self, iou: float) -> np.ndarray:
        """Precision at the recalls 0, 0.01, …, 1 by class, (101, K); NaN for classes without objects."""
        if self.evaluation is None:
            return np.where(self.objects_by_class() > 0, 0.0, np.nan) * np.ones((101, 1))
        place = int(np.isclose(self.evaluation.params.iouThrs, iou).argmax())
        return self._known(self.evaluation.eval['precision'][place, :, :, 0, -1])

    def ap_by_class(self) -> np.ndarray:
        """AP of each class, (K,); NaN for classes without objects."""
        if self.evaluation is None:
            return self.precision(0.5).mean(axis=0)
        return self._known(self.evaluation.eval['precision'][..., 0, -1]).mean(axis=(0, 1))

    def objects_by_class(self) -> np.ndarray:
        """How many objects of each class there are, (K,); crowds do not count."""
        labels = [entry['category_id'] for entry in self.truth.anns.values() if not entry['iscrowd']]
        return np.bincount(labels, minlength=len(self.classes))

    @staticmethod
    def _known(values: np.ndarray) -> np.ndarray:
        # 1 of 1 is 1 - 2^-52 to COCO, and would come after 1 of 1 of another class.
        return np.where(values > -1, values.round(12), np.nan)


def judge(truth: COCO, found: Sequence[dict], classes: Sequence[str]) -> Judgement:
    """Evaluate what was found in the images of ``truth``, without printing.

    Args:
        truth: Of :func:`read_truth`.
        found: One entry an image, see :class:`Predictions`; what is infinite or NaN is left out.
        classes: Names of the classes.
    """
    found = [_finite(result) for result in found]
    evaluation = None
    if any(len(result['labels']) for result in found):
        with redirect_stdout(StringIO()):
            evaluation = evaluate_boxes(truth, range(len(classes)), found, True, _MAX_DETECTIONS, _IOUS)
    return Judgement(truth, found, tuple(classes), evaluation)


def _finite(result: dict) -> dict:
    keep = np.isfinite(result['bboxes']).all(axis=1) & np.isfinite(result['scores'])
    return dict(img_id=result['img_id'], **{name: result[name][keep] for name in ('bboxes', 'scores', 'labels')})
