"""Both detectors, and that they are the same."""

import pytest
import torch

from sparse_rcnn_ext.analysis.benchmark.contestants import build_pair, check_same_losses, copy_weights, make_batch
from sparse_rcnn_ext.errors import UserError


def test_same_weights_every_time(tiny, pair):
    ours, theirs, *_ = pair
    assert type(ours.model).__module__.startswith('sparse_rcnn_ext') and ours.is_ours
    assert type(theirs.model).__module__.startswith('mmdet') and not theirs.is_ours
    again, _ = build_pair(tiny)
    first, second, third = (side.model.state_dict() for side in (ours, theirs, again))
    assert set(first) == set(second)
    for name, value in first.items():
        torch.testing.assert_close(value, second[name], rtol=0, atol=0)
        torch.testing.assert_close(value, third[name], rtol=0, atol=0)


def test_weights_are_those_of_a_training_under_way(pair):
    ours, _, images, _ = pair
    boxes = ours.model.rpn_head.init_proposal_bboxes.weight
    assert 0.04 <= boxes[:, 2:].min() < 0.2 and boxes[:, 2:].max() <= 0.8 and boxes[:, :2].std() > 0.1
    ours.model.eval()
    with torch.no_grad():
        scales = [level.std().item() for level in ours.model.extract_feat(images)]
    assert all(0.05 < scale < 20 for scale in scales), scales


def test_batch(tiny, pair):
    ours, _, images, samples = pair
    assert images.shape == (2, 3, 64, 96)
    assert abs(images.mean()) < 0.5 and 0.5 < images.std() < 2
    for sample in samples:
        boxes = sample.gt_instances.bboxes
        assert len(boxes) == 4 and sample.img_shape == (64, 96)
        assert (boxes[:, :2] >= 0).all() and (boxes[:, 2] <= 96).all() and (boxes[:, 3] <= 64).all()
        assert (boxes[:, 2:] > boxes[:, :2]).all()
    again, _ = make_batch(tiny, ours)
    torch.testing.assert_close(again, images, rtol=0, atol=0)


def test_losses_agree(pair):
    assert check_same_losses(*pair) < 1e-4


def test_other_weights_are_refused(pair):
    ours, *others = pair
    with torch.no_grad():
        ours.model.roi_head.bbox_head[1].fc_cls.bias.add_(0.1)
    with pytest.raises(UserError, match=r's1\.loss_cls is \S+ for ours and \S+ for mmdet .* no comparison'):
        check_same_losses(ours, *others)


def test_a_loss_that_is_no_number_is_refused(pair):
    ours, *others = pair
    with torch.no_grad():
        ours.model.roi_head.bbox_head[1].fc_cls.weight.fill_(float('nan'))
    with pytest.raises((UserError, FloatingPointError)):
        check_same_losses(ours, *others)


def test_other_losses_are_refused(pair):
    ours, theirs, *batch = pair
    theirs.model.loss = lambda *_: dict(loss_other=torch.ones(()))
    with pytest.raises(UserError, match=r"and mmdet \['loss_other'\]: a comparison of different things"):
        check_same_losses(ours, theirs, *batch)


def test_weights_that_do_not_fit_are_refused(pair):
    ours, theirs, *_ = pair
    theirs.model.rpn_head.init_proposal_bboxes = torch.nn.Embedding(11, 4)
    with pytest.raises(UserError, match=r"mmdet's weights do not fit ours.*init_proposal_bboxes") as refused:
        copy_weights(theirs.model, ours.model)
    assert '\n' not in str(refused.value)


def test_precision(pair):
    ours, *_ = pair
    left = torch.ones(2, 2)
    with ours.precision():
        assert (left @ left).dtype == torch.float32
    ours.dtype = torch.bfloat16
    with ours.precision():
        assert (left @ left).dtype == torch.bfloat16
