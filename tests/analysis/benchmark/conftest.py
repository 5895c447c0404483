"""A small setting, and both detectors in it."""

import pytest

from sparse_rcnn_ext.analysis.benchmark import Setting, settle
from sparse_rcnn_ext.analysis.benchmark.contestants import build_pair, make_batch
from tests.analysis.benchmark.tiny import write_tiny_model


@pytest.fixture(scope='session')
def tiny_model(tmp_path_factory) -> str:
    """The path of its config."""
    return str(write_tiny_model(tmp_path_factory.mktemp('tiny model')))


@pytest.fixture(scope='session')
def tiny(tiny_model) -> Setting:
    """A settled setting of two images of 64 × 96 pixels, measured twice."""
    return settle(Setting(model=tiny_model, size=(64, 96), boxes=4, rounds=2))


@pytest.fixture
def pair(tiny, mmdet_scope):
    """Ours and mmdet's, and a batch."""
    ours, theirs = build_pair(tiny)
    return ours, theirs, *make_batch(tiny, ours)
