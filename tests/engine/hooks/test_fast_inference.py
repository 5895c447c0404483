"""The hook that switches the fast forward pass on."""

import copy
import logging
from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import EMAHook
from mmengine.runner.priority import get_priority

from sparse_rcnn_ext.engine.hooks import FastInferenceHook
from tests.engine.test_fast_inference import SHALLOW, detect
from tests.models.small_model import build_model


@pytest.fixture
def runner():
    return SimpleNamespace(model=build_model(SHALLOW).eval(), logger=logging.getLogger('test'))


def test_on_for_the_test_only(runner):
    expected = detect(runner.model)
    hook = FastInferenceHook(fuse_conv_bn=True, dtype='bfloat16')
    hook.before_test_epoch(runner)
    fast = detect(runner.model)
    hook.after_test_epoch(runner)
    assert not torch.equal(fast[0].scores, expected[0].scores)
    assert torch.equal(detect(runner.model)[0].scores, expected[0].scores)


def test_tests_averaged_weights(runner):
    average = EMAHook()
    average.before_run(runner)
    averaged = copy.deepcopy(runner.model)
    with torch.no_grad():
        for parameter in runner.model.parameters():
            parameter.mul_(1.1)
    own = copy.deepcopy(runner.model.state_dict())

    hook = FastInferenceHook(fuse_conv_bn=True)
    assert get_priority(hook.priority) > get_priority(average.priority)  # so that it comes after, as below
    average.before_test_epoch(runner)
    hook.before_test_epoch(runner)
    found = detect(runner.model)
    average.after_test_epoch(runner)
    hook.after_test_epoch(runner)
    for fast, plain in zip(found, detect(averaged), strict=True):
        torch.testing.assert_close(fast.scores, plain.scores, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(fast.bboxes, plain.bboxes, rtol=1e-3, atol=1e-3)
    assert all(torch.equal(value, own[name]) for name, value in runner.model.state_dict().items())
