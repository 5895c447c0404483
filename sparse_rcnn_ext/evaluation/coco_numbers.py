"""The numbers of a COCO evaluation under mmdet's names, but with the maxDets that they are of."""

from collections.abc import Sequence

import numpy as np
from pycocotools.cocoeval import COCOeval
from terminaltables import AsciiTable

PRECISIONS = ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l')


def recall_names(max_detections: Sequence[int]) -> tuple[str, ...]:
    """The names of the six recalls, such as AR@1, AR@10, AR@100, AR_s@100, AR_m@100, AR_l@100.

    Args:
        max_detections: The maxDets, at least three, in any order; pycocotools reports the least three.
    """
    few, more, most, *_ = sorted(max_detections)
    return (f'AR@{few}', f'AR@{more}', *(f'AR{size}@{most}' for size in ('', '_s', '_m', '_l')))


RECALLS_OF_MMDET = recall_names((100, 300, 1000))
"""mmdet's names, whatever its ``proposal_nums`` are."""


def box_numbers(evaluation: COCOeval, items: Sequence[str] | None) -> dict[str, float]:
    """``bbox_`` and the item, rounded to three digits; None: the precisions."""
    stats = _stats(evaluation)
    return {f'bbox_{item}': float(round(stats[item], 3)) for item in (PRECISIONS if items is None else items)}


def proposal_numbers(evaluation: COCOeval, items: Sequence[str] | None) -> dict[str, float]:
    """The items, printed to three digits; None: the recalls."""
    stats = _stats(evaluation)
    recalls = recall_names(evaluation.params.maxDets)
    return {item: float(f'{stats[item]:.3f}') for item in (recalls if items is None else items)}


def _stats(evaluation: COCOeval) -> dict[str, float]:
    return dict(zip(PRECISIONS + recall_names(evaluation.params.maxDets), evaluation.stats, strict=True))


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
