"""What the tests of several hooks share."""

from collections.abc import Iterator

import pytest
import torch
from mmengine.registry import init_default_scope

from sparse_rcnn_ext.engine.training import finite_check


@pytest.fixture(params=['at once', 'an iteration later'])
def reading(request, monkeypatch) -> str:
    """What a CPU does, and what a GPU does."""
    if request.param == 'an iteration later':
        monkeypatch.setattr(finite_check, 'runs_ahead', lambda loss: True)
    return request.param


@pytest.fixture
def mmengine_scope_and_one_thread() -> Iterator[None]:
    """What tests/durability/small_training.py trains with."""
    init_default_scope('mmengine')
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
