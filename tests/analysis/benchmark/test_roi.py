"""RoI features of both."""

import pytest

from sparse_rcnn_ext.analysis.benchmark import operations
from sparse_rcnn_ext.analysis.benchmark.operations import WHOLE, measure_roi
from sparse_rcnn_ext.errors import UserError


def test_result(tiny):
    result = measure_roi(tiny)
    assert [found.name for found in result.comparisons] == [WHOLE, 'forward', 'backward', 'rest']
    for found in result.comparisons:
        assert len(found.ours) == len(found.theirs) == 2 and min(found.ours + found.theirs) > 0
    assert result.notes[0].startswith('Features of both differ by ')


def test_stages_and_proposals_of_the_setting(tiny, monkeypatch):
    sizes = []
    original = operations.OurRoIs.backward

    def backward(self, pooled):
        sizes.append((type(self).__name__, [tuple(stage.shape) for stage in pooled]))
        return original(self, pooled)

    monkeypatch.setattr(operations.OurRoIs, 'backward', backward)
    measure_roi(tiny)
    assert ('OurRoIs', [(20, 49, 16)] * 2) in sizes and ('TheirRoIs', [(20, 16, 7, 7)] * 2) in sizes


@pytest.mark.parametrize('what', ['features', 'gradients'])
def test_different_features_are_refused(tiny, monkeypatch, what):
    method = dict(features='forward', gradients='backward')[what]
    original = getattr(operations.TheirRoIs, method)

    def forward(self):
        return [1.01 * pooled for pooled in original(self)]

    def backward(self, pooled):
        original(self, pooled)
        original(self, self.forward())

    monkeypatch.setattr(operations.TheirRoIs, method, locals()[method])
    with pytest.raises(UserError, match=r'RoI features of ours and mmdet differ by .* no comparison'):
        measure_roi(tiny)
