"""The hook that compiles for a training."""

import logging
from types import SimpleNamespace

from sparse_rcnn_ext.engine.hooks import CompileHook
from tests.engine.test_fast_inference import SHALLOW
from tests.models.small_model import build_model


def test_on_for_the_training_only():
    runner = SimpleNamespace(model=build_model(SHALLOW), logger=logging.getLogger('test'))
    hook = CompileHook(dict(backend='eager'))
    hook.before_train(runner)
    assert 'forward' in vars(runner.model.roi_head.bbox_head[-1])
    hook.after_train(runner)
    assert 'forward' not in vars(runner.model.roi_head.bbox_head[-1])
