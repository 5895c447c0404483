"""Views of an image become one set of detections."""

import warnings

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from torch import nn

from sparse_rcnn_ext.models import BoxFusionTTA

HEIGHT, WIDTH = 100, 200


class AnyDetector(nn.Module):
    def test_step(self, data): ...


def view(*rows: tuple[float, ...], flip: str | None = None) -> DetDataSample:
    """Each row: xyxy, score, label."""
    table = torch.tensor(rows, dtype=torch.float32).reshape(-1, 6)
    meta = dict(ori_shape=(HEIGHT, WIDTH), flip=flip is not None, flip_direction=flip, img_id=7)
    sample = DetDataSample(metainfo=meta)
    sample.pred_instances = InstanceData(bboxes=table[:, :4], scores=table[:, 4], labels=table[:, 5].long())
    return sample


class StrictDetector(AnyDetector):
    max_per_img, score_thr = 2, 0.5


def fuse(*views: DetDataSample, **settings) -> InstanceData:
    (result,) = BoxFusionTTA(AnyDetector(), **settings).merge_preds([views])
    assert result.img_id == 7
    return result.pred_instances


def test_boxes_of_one_object_become_their_weighted_mean():
    found = fuse(view((10, 10, 50, 50, 0.9, 3)), view((14, 10, 54, 50, 0.3, 3)))
    assert found.bboxes.tolist() == [pytest.approx([11, 10, 51, 50])]  # (0.9 · 10 + 0.3 · 14) / 1.2
    assert found.scores.tolist() == pytest.approx([0.6])
    assert found.labels.tolist() == [3] and found.labels.dtype == torch.long


def test_an_object_that_one_view_of_four_sees_has_a_quarter_of_its_score():
    found = fuse(view((10, 10, 50, 50, 0.8, 0)), view(), view(), view())
    assert found.scores.tolist() == pytest.approx([0.2])


@pytest.mark.parametrize(
    ('direction', 'box'),
    [('horizontal', (150, 10, 190, 60)), ('vertical', (10, 40, 50, 90)), ('diagonal', (150, 40, 190, 90))],
)
def test_mirrored_views_are_turned_back(direction, box):
    found = fuse(view((10, 10, 50, 60, 0.5, 0)), view((*box, 0.5, 0), flip=direction))
    assert found.bboxes.tolist() == [pytest.approx([10, 10, 50, 60])]
    assert found.scores.tolist() == pytest.approx([0.5])


def test_classes_and_distant_boxes_stay_apart():
    rows = (10, 10, 50, 50, 0.9, 0), (10, 10, 50, 50, 0.7, 1), (30, 10, 70, 50, 0.5, 0)
    found = fuse(view(*rows), view(*rows))
    assert found.labels.tolist() == [0, 1, 0]
    assert found.scores.tolist() == pytest.approx([0.9, 0.7, 0.5]), 'falling'


def test_the_threshold_decides_what_is_one_object():
    for threshold, count in ((0.66, 1), (0.67, 2)):
        views = view((0, 0, 100, 100, 0.5, 0)), view((20, 0, 120, 100, 0.5, 0))  # IoU 2/3
        assert len(fuse(*views, iou_threshold=threshold, max_per_img=10)) == count


def test_weak_and_inside_out_boxes_are_left_out():
    rows = (10, 10, 50, 50, 0.9, 0), (50, 10, 10, 50, 0.8, 0), (60, 60, 60, 90, 0.8, 0), (80, 10, 90, 50, 0.009, 0)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert fuse(view(*rows)).bboxes.tolist() == [[10, 10, 50, 50]]


def test_as_many_as_the_detector_keeps_for_one_view():
    rows = [(10 * step, 10, 10 * step + 9, 50, 0.9 - 0.1 * step, 0) for step in range(6)]
    assert len(fuse(view(*rows[:4]), view(*rows[2:]))) == 4
    found = fuse(view(*rows), view(*rows), max_per_img=2)
    assert found.scores.tolist() == pytest.approx([0.9, 0.8])


def test_nothing_found_in_any_view():
    found = fuse(view(), view(flip='horizontal'))
    assert found.bboxes.shape == (0, 4) and found.scores.shape == (0,) and found.labels.dtype == torch.long


def test_limits_of_the_detector_hold_for_what_is_fused():
    first, second = (10, 10, 50, 50, 0.9, 0), (60, 10, 90, 50, 0.8, 0)
    (result,) = BoxFusionTTA(StrictDetector()).merge_preds([[view(first), view(first, second)]])
    assert result.pred_instances.scores.tolist() == pytest.approx([0.9])  # the other one has 0.4
    (result,) = BoxFusionTTA(StrictDetector()).merge_preds([[view(first), view(second)]])
    assert len(result.pred_instances) == 0
    (result,) = BoxFusionTTA(StrictDetector()).merge_preds([[view(first, second, (1, 60, 9, 90, 0.7, 0))]])
    assert len(result.pred_instances) == 2
