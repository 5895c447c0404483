"""The training data set built by both sides."""

import json
from dataclasses import replace

import pytest

from sparse_rcnn_ext.analysis.benchmark import loading
from sparse_rcnn_ext.analysis.benchmark.loading import BUILD, PEAK, build, measure_loading, write_file
from sparse_rcnn_ext.errors import UserError


def test_result(tiny):
    result = measure_loading(replace(tiny, rounds=1), images=30)  # a process takes seconds to start
    assert result.title == '30 images, 217 boxes'
    assert [found.name for found in result.comparisons] == [BUILD, PEAK]
    for found, unit in zip(result.comparisons, 'sB'):
        assert found.unit == unit and len(found.ours) == len(found.theirs) == 1
        assert min(found.ours + found.theirs) > 0


def test_both_give_the_same_entries(tmp_path):
    path = tmp_path / 'truth.json'
    assert write_file(path, 40, seed=1) == 289
    content = json.loads(path.read_text())
    assert sum(entry['iscrowd'] for entry in content['annotations']) == 3
    assert [entry['image_id'] for entry in content['annotations']] != sorted(
        entry['image_id'] for entry in content['annotations']
    )
    ours, theirs = (build(name, path)['samples'] for name in ('ours', 'mmdet'))
    assert ours == theirs and 1 < len(ours) <= 41 and any(info['instances'] for info in ours[1:])


def test_other_entries_are_refused(tiny, monkeypatch):
    class Pool:
        def __init__(self, *args) -> None:
            pass

        __enter__ = lambda self: self  # noqa: E731
        __exit__ = lambda self, *args: None  # noqa: E731

        def submit(self, function, name, path):
            self.answer = {BUILD: 1.0, PEAK: 1, 'samples': [name]}
            return self

        def result(self) -> dict:
            return self.answer

    monkeypatch.setattr(loading, 'ProcessPoolExecutor', Pool)
    with pytest.raises(UserError, match='the two data sets differ'):
        measure_loading(tiny, 3)
    with pytest.raises(UserError, match='--images is 0'):
        measure_loading(tiny, 0)
