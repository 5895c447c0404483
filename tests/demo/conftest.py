"""A tiny detector, loaded."""

import pytest
from mmengine.config import Config

from sparse_rcnn_ext.prediction import Predictor
from tests.prediction.conftest import tiny_detector  # noqa: F401  a fixture


@pytest.fixture(scope='module')
def predictor(tiny_detector) -> Predictor:  # noqa: F811
    config, checkpoint = tiny_detector
    return Predictor(Config.fromfile(config), str(checkpoint), 'cpu')
