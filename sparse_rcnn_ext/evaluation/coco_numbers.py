"""The numbers of a COCO evaluation under mmdet's names."""

from collections.abc import Sequence

import numpy as np
from pycocotools.cocoeval import COCOeval
from terminaltables import AsciiTable

PRECISIONS = ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l')
RECALLS = ('AR@100', 'AR@300', 'AR@1000', 'AR_s@1000', 'AR_m@1000', 'AR_l@1000')
"""mmdet's names, whatever the three maxDets are."""


def box_numbers(evaluation: COCOeval, items: Sequence[str] | None) -> dict[str, float]:
    """``bbox_`` and the item, rounded to three digits; None: the precisions."""
    stats = dict(zip(PRECISIONS + RECALLS, evaluation.stats, strict=True))
    return {f'bbox_{item}': float(round(stats[item], 3)) for item in (PRECISIONS if items is None else items)}


def proposal_numbers(evaluation: COCOeval, items: Sequence[str] | None) -> dict[str, float]:
    """The items, printed to three digits; None: the recalls."""
    stats = dict(zip(PRECISIONS + RECALLS, evaluation.stats, strict=True))
    return {item: float(f'{stats[item]:.3f}') for item in (RECALLS if items is None else items)}


def numbers_by_class(evaluation: COCOeval, names: Sequence[str]) -> tuple[dict[str, float], str]:
    """AP class by class, with all detections that maxDets allows.

    Args:
        evaluation: With the categories in the order of ``names``.
        names: Of the categories.

    Returns:
        ``<name>_precision``, NaN without truth, and a table with the six precisions of each class.
    """
    # (IoUs, recalls, classes, areas), the areas being all, small, medium and large.
    precision = evaluation.eval['precision'][..., -1]
    halves, three_quarters = (np.isclose(evaluation.params.iouThrs, iou) for iou in (0.5, 0.75))
    rows = []
    for place, name in enumerate(names):
        of_class = precision[:, :, place]
        parts = (of_class[..., 0], of_class[halves, :, 0], of_class[three_quarters, :, 0])
        areas = (of_class[..., area] for area in (1, 2, 3))
        rows.append((name, *(_mean(part) for part in (*parts, *areas))))
    numbers = {f'{name}_precision': ap for name, ap, *_ in rows}
    return numbers, AsciiTable([('category', *PRECISIONS), *[[str(cell) for cell in row] for row in rows]]).table


def _mean(precision: np.ndarray) -> float:
    known = precision[precision > -1]
    return float(round(known.mean(), 3)) if known.size else float('nan')
