"""One pass gives what each stage would detect if it were the last."""

import copy

import numpy as np
import pytest
import torch

from sparse_rcnn_ext.report.predictions import predict_stages
from sparse_rcnn_ext.visualization.examples import load_example
from sparse_rcnn_ext.visualization.run_pictures import load_model


@pytest.fixture(scope='module')
def model(picture_config, checkpoint):
    return load_model(picture_config, checkpoint)


@pytest.mark.parametrize('score_thr', [0, 0.2])
def test_last_stage_is_what_the_model_detects(model, dataset, monkeypatch, score_thr):
    monkeypatch.setattr(model, 'score_thr', score_thr)
    found = predict_stages(model, dataset, [2, 0], 1, 0, 0.3, progress=False).stages[-1]
    for index, result in zip([2, 0], found, strict=True):
        with torch.no_grad():
            expected = model.test_step(load_example(dataset, index).batch)[0].pred_instances
        assert result['img_id'] == index + 1
        np.testing.assert_allclose(result['bboxes'], expected.bboxes.numpy(), atol=1e-4)
        np.testing.assert_allclose(result['scores'], expected.scores.numpy(), atol=1e-6)
        np.testing.assert_array_equal(result['labels'], expected.labels.numpy())


def test_a_model_of_one_label_a_proposal(model, dataset):
    one_label = copy.deepcopy(model)
    one_label.max_per_img = 100
    one_label.roi_head.bbox_head[-1].one_label = True
    found = predict_stages(one_label, dataset, range(3), 1, 0, 0.3, progress=False).stages
    assert [len(result['scores']) for stage in found for result in stage] == [12] * 6
    with torch.no_grad():
        expected = one_label.test_step(load_example(dataset, 0).batch)[0].pred_instances
    np.testing.assert_allclose(found[-1][0]['scores'], expected.scores.numpy(), atol=1e-6)
    np.testing.assert_array_equal(found[-1][0]['labels'], expected.labels.numpy())


def test_boxes_end_at_the_border_as_those_of_the_model(model, dataset):
    clipping = copy.deepcopy(model)
    clipping.clip_boxes = True
    for index in range(3):
        (found,) = predict_stages(clipping, dataset, [index], 1, 0, 0.3, progress=False).stages[-1]
        with torch.no_grad():
            expected = clipping.test_step(load_example(dataset, index).batch)[0].pred_instances
        np.testing.assert_allclose(found['bboxes'], expected.bboxes.numpy(), atol=1e-4)
        height, width = load_example(dataset, index).image.shape[:2]
        assert (found['bboxes'] >= 0).all() and (found['bboxes'] <= np.array([width, height] * 2) + 1e-3).all()


def test_earlier_stage_is_a_shorter_model(model, dataset):
    stages = predict_stages(model, dataset, range(3), 1, 0, 0.3, progress=False).stages
    assert len(stages) == 2
    shorter = copy.deepcopy(model)
    shorter.num_test_stages = 1
    (expected,) = predict_stages(shorter, dataset, range(3), 1, 0, 0.3, progress=False).stages
    for result, other in zip(stages[0], expected, strict=True):
        np.testing.assert_allclose(result['bboxes'], other['bboxes'], atol=1e-4)
    assert any(np.abs(one['bboxes'] - two['bboxes']).max() > 1 for one, two in zip(stages[0], stages[1]))


def test_batches_give_what_single_images_give(model, dataset):
    single = predict_stages(model, dataset, range(3), 1, 0, 0.3, progress=False)
    batched = predict_stages(model, dataset, range(3), 2, 0, 0.3, progress=False)
    for one, other in zip(single.stages[-1], batched.stages[-1], strict=True):
        # Where the padding of a batch begins, a convolution sees zeros in either case.
        np.testing.assert_allclose(one['bboxes'], other['bboxes'], atol=0.5)
    assert batched.uses.shape == (12,)


def test_workers_need_no_pickle(model, dataset):
    """Whatever Python's own way to start a process is: a transform of one's own may hold what cannot be pickled."""
    unfit = copy.copy(dataset)
    unfit.note = lambda: None
    expected = predict_stages(model, dataset, range(3), 1, 0, 0.3, progress=False).stages[-1]
    found = predict_stages(model, unfit, range(3), 1, 1, 0.3, progress=False).stages[-1]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one['bboxes'], other['bboxes'], atol=1e-4)


def test_use_of_proposals(model, dataset):
    uses = {thr: predict_stages(model, dataset, range(3), 1, 0, thr, progress=False).uses for thr in (0.0, 0.2, 1.0)}
    assert uses[0.0].tolist() == [3] * 12 and uses[1.0].tolist() == [0] * 12
    found = predict_stages(model, dataset, range(3), 1, 0, 0.2, progress=False).stages[-1]
    # Each proposal has one box: as many different boxes as uses.
    boxes = sum(len(np.unique(result['bboxes'][result['scores'] >= 0.2], axis=0)) for result in found)
    assert uses[0.2].sum() == boxes


def test_another_detector(model, dataset):
    class Other(torch.nn.Module):
        """No SparseRCNN, but it detects the same."""

        test_step = staticmethod(model.test_step)

    expected = predict_stages(model, dataset, range(3), 1, 0, 0.3, progress=False).stages[-1]
    predictions = predict_stages(Other(), dataset, range(3), 1, 0, 0.3, progress=False)
    assert len(predictions.stages) == 1 and predictions.uses is None
    for one, other in zip(predictions.stages[0], expected, strict=True):
        np.testing.assert_allclose(one['bboxes'], other['bboxes'], atol=1e-4)
