"""Inference of both, and when detections are the same."""

from dataclasses import replace

import pytest
import torch
from mmengine.structures import InstanceData

from sparse_rcnn_ext.analysis.benchmark import inference
from sparse_rcnn_ext.analysis.benchmark.inference import (
    WHOLE,
    Difference,
    check_same_detections,
    compare_detections,
    measure_inference,
)
from sparse_rcnn_ext.engine.speed.fast_inference import fast_forward_stages
from sparse_rcnn_ext.errors import UserError

PARTS = ['preprocessing', 'backbone and neck', 'stages and detections', 'rest']


def detections(rows) -> InstanceData:
    """Rows of score, label and the left border of a box of 10 × 10 pixels."""
    scores, labels, left = map(torch.tensor, zip(*rows, strict=True))
    boxes = left.float()[:, None] + torch.tensor([0.0, 0.0, 10.0, 10.0])
    return InstanceData(scores=scores, labels=labels, bboxes=boxes)


def test_order_does_not_matter():
    ours = detections([(0.9, 1, 5.0), (0.8, 2, 7.0), (0.7, 1, 9.0), (0.1, 0, 0.0)])
    theirs = detections([(0.7, 1, 9.25), (0.9, 1, 5.0), (0.1, 0, 0.0), (0.8, 2, 7.0)])
    difference = compare_detections(ours, theirs)
    assert difference == Difference(0.0, pytest.approx(0.25))


def test_scores_differ():
    ours = detections([(0.9, 1, 5.0), (0.5, 2, 7.0)])
    theirs = detections([(0.45, 2, 7.0), (0.9, 1, 5.0)])
    assert compare_detections(ours, theirs) == Difference(pytest.approx(0.05, rel=1e-4), 0.0)


def test_another_label_is_no_match():
    ours = detections([(0.9, 1, 5.0), (0.1, 2, 7.0)])
    theirs = detections([(0.9, 3, 5.0), (0.1, 2, 7.0)])
    assert compare_detections(ours, theirs).pixels == float('inf')


def test_another_choice_on_the_last_place_is_no_difference():
    ours = detections([(0.9, 1, 5.0), (0.101, 2, 7.0)])
    theirs = detections([(0.9, 1, 5.0), (0.1, 4, 80.0)])
    assert compare_detections(ours, theirs) == Difference(pytest.approx(0.001, rel=1e-4), 0.0)


def test_other_numbers_of_detections_are_refused():
    with pytest.raises(UserError, match='ours gives 1 detections of an image and mmdet 2'):
        compare_detections(detections([(0.9, 1, 5.0)]), detections([(0.9, 1, 5.0), (0.1, 2, 7.0)]))


@pytest.mark.parametrize('worst', [(2e-3, 0.0), (0.0, 0.7), (float('nan'), 0.0), (0.0, float('inf'))])
def test_differences_above_a_thousandth_are_refused(worst):
    check_same_detections(Difference(0.9e-3, 0.6), 640)
    with pytest.raises(UserError, match='a comparison of different things is no comparison'):
        check_same_detections(Difference(*worst), 640)


def test_result(tiny):
    result = measure_inference(replace(tiny, batch=1))
    assert [found.name for found in result.comparisons] == [WHOLE, *PARTS]
    for found in result.comparisons:
        assert len(found.ours) == len(found.theirs) == 2 and min(found.ours + found.theirs) > 0
    assert result.notes[0].startswith('Detections of both differ by ') and 'not checked' not in result.notes[0]
    assert 'images a second' in result.notes[1]


def test_half_precision_is_measured_and_not_checked(tiny):
    result = measure_inference(replace(tiny, batch=1, ours_dtype='bfloat16', channels_last=True, rounds=1))
    assert 'and not checked.' in result.notes[0]
    assert [found.name for found in result.comparisons] == [WHOLE]


@pytest.mark.parametrize('options', [dict(fuse_conv_bn=True), dict(channels_last=True), dict(ours_dtype='bfloat16')])
def test_options_of_ours_alone(tiny, monkeypatch, options):
    """Each reaches the fast forward pass, which this side then takes."""
    asked = []

    def fast(model, **settings):
        asked.append(settings)
        return fast_forward_stages(model, **settings)

    monkeypatch.setattr(inference, 'fast_forward_stages', fast)
    measure_inference(replace(tiny, batch=1, rounds=1, **options))
    expected = dict(fuse_conv_bn=False, channels_last=False, dtype=options.pop('ours_dtype', None), compile=False)
    assert asked == [expected | options]


def test_compiled_detections_are_checked(tiny, monkeypatch):
    def spoilt(model, **_):
        def forward_stages(*inputs):
            outputs = type(model).forward_stages(model, *inputs)
            return outputs._replace(boxes=outputs.boxes + 1)

        return forward_stages

    monkeypatch.setattr(inference, 'fast_forward_stages', spoilt)
    with pytest.raises(UserError, match='detections of ours and mmdet differ by'):
        measure_inference(replace(tiny, batch=1, compile=True))
