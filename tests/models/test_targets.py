"""Data samples become padded tensors."""

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.structures import InstanceData

from sparse_rcnn_ext.models.targets import pack_image_whwh, pack_targets


def make_sample(img_shape: tuple[int, ...], boxes: list[list[float]], labels: list[int]) -> DetDataSample:
    result = DetDataSample(metainfo=dict(img_shape=img_shape))
    result.gt_instances = InstanceData(bboxes=torch.tensor(boxes).view(-1, 4), labels=torch.tensor(labels).long())
    return result


def make_samples() -> list[DetDataSample]:
    return [
        make_sample((40, 60), [[1.5, 2, 30, 40]], [3]),
        make_sample((80, 20), [], []),
        make_sample((50, 50), [[0.0, 0, 9, 9], [5, 5, 6.5, 7]], [0, 7]),
    ]


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_sizes_are_width_then_height(dtype):
    found = pack_image_whwh(make_samples(), torch.zeros(1, dtype=dtype))
    assert found.dtype == dtype
    assert found.tolist() == [[60, 40, 60, 40], [20, 80, 20, 80], [50, 50, 50, 50]]


def test_sizes_stay_exact_under_half_precision_inputs():
    sample = DetDataSample(metainfo=dict(img_shape=(1333, 801)))
    found = pack_image_whwh([sample], torch.zeros(1, dtype=torch.bfloat16))
    assert found.dtype == torch.float32
    assert found.tolist() == [[801, 1333, 801, 1333]]


def test_shape_may_hold_channels():
    sample = DetDataSample(metainfo=dict(img_shape=(40, 60, 3)))
    assert pack_image_whwh([sample], torch.zeros(1)).tolist() == [[60, 40, 60, 40]]


def test_shape_may_be_of_numpy():
    sample = DetDataSample(metainfo=dict(img_shape=tuple(np.array([40, 60]))))
    assert pack_image_whwh([sample], torch.zeros(1)).tolist() == [[60, 40, 60, 40]]


def test_targets_are_padded():
    samples = make_samples()
    whwh = pack_image_whwh(samples, torch.zeros(1, dtype=torch.float64))
    found = pack_targets(samples, whwh)
    zeros = [0, 0, 0, 0]
    assert found.boxes.dtype == torch.float64
    assert found.boxes.tolist() == [[[1.5, 2, 30, 40], zeros], [zeros, zeros], [[0, 0, 9, 9], [5, 5, 6.5, 7]]]
    assert found.labels.tolist() == [[3, 0], [0, 0], [0, 7]]
    assert found.counts == (1, 0, 2)
    assert found.image_whwh is whwh


def test_no_boxes_at_all():
    samples = make_samples()[1:2]
    found = pack_targets(samples, pack_image_whwh(samples, torch.zeros(1)))
    assert found.boxes.shape == (1, 0, 4)
    assert found.labels.shape == (1, 0)
    assert found.counts == (0,)


def test_mmdets_box_type():
    samples = make_samples()
    plain = pack_targets(samples, pack_image_whwh(samples, torch.zeros(1)))
    for sample in samples:
        sample.gt_instances.bboxes = HorizontalBoxes(sample.gt_instances.bboxes)
    found = pack_targets(samples, pack_image_whwh(samples, torch.zeros(1)))
    assert torch.equal(found.boxes, plain.boxes)
