"""What the tests of several hooks share."""

import pytest

from sparse_rcnn_ext.engine import finite_check


@pytest.fixture(params=['at once', 'an iteration later'])
def reading(request, monkeypatch) -> str:
    """What a CPU does, and what a GPU does."""
    if request.param == 'an iteration later':
        monkeypatch.setattr(finite_check, 'runs_ahead', lambda loss: True)
    return request.param
