"""A training step."""

from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from sparse_rcnn_ext.analysis.benchmark import timing, training_step
from sparse_rcnn_ext.analysis.benchmark.timing import timed_parts
from sparse_rcnn_ext.analysis.benchmark.training_step import STEP, TrainingStep, measure_training
from sparse_rcnn_ext.models import SparseRCNN

PARTS = ['backbone and neck', 'stages', 'matching', 'losses', 'backward', 'optimizer', 'rest']


class Operations(TorchDispatchMode):
    """A clock that goes on by a second with each tensor operation, so that other processes do not matter."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.now += 1
        return func(*args, **(kwargs or {}))

    def perf_counter(self) -> float:
        return self.now


def test_both_learn_alike(pair):
    """Two steps lead to the same weights: gradients, clipping and optimizer are the same."""
    ours, theirs, images, samples = pair
    before = {name: weight.detach().double() for name, weight in ours.model.named_parameters()}
    for sample in samples:
        sample.gt_instances.bboxes = sample.gt_instances.bboxes.double()
    for side in (ours, theirs):
        side.model.double()
        step = TrainingStep(side, images.double(), samples)
        step.run()
        step.run()
        assert all(weight.grad is None for weight in step.weights)
    found, expected = (dict(side.model.named_parameters()) for side in (ours, theirs))
    moved = 0
    for name, weight in expected.items():
        torch.testing.assert_close(found[name], weight, rtol=0, atol=1e-9, msg=name)
        moved += (weight - before[name]).abs().max() > 1e-6
    assert moved > 0.8 * len(expected)


@pytest.mark.parametrize('side', [0, 1], ids=['ours', 'mmdet'])
def test_every_part_is_found(pair, side):
    step = TrainingStep(pair[side], *pair[2:])
    measure = timed_parts(step.run, step.points(), 'cpu')
    # Another process may hold one up at any point, but hardly at the same one each time.
    found = [measure() for _ in range(5)]
    seconds = {name: min(turn[name] for turn in found) for name in found[0]}
    assert list(seconds) == PARTS
    assert all(value > 0 for value in seconds.values())
    # What is outside of all parts is little: summing up losses and packing the truth.
    assert seconds['rest'] < 0.25 * sum(seconds.values())


def test_result(tiny, monkeypatch):
    clock = Operations()
    monkeypatch.setattr(timing, 'time', clock)
    with clock:
        result = measure_training(replace(tiny, rounds=2))
    assert [found.name for found in result.comparisons] == [STEP, *PARTS]
    for found in result.comparisons:
        assert len(found.ours) == len(found.theirs) == 2 and min(found.ours + found.theirs) > 0
    for side in ('ours', 'theirs'):
        whole, *seconds = (getattr(found, side)[-1] for found in result.comparisons)
        assert sum(seconds) == whole > 500
    assert 'the losses of both differ by' in result.notes[0]


def test_only_ours_is_compiled(tiny, monkeypatch):
    compiled = []
    monkeypatch.setattr(training_step, 'compile_for_training', compiled.append)
    result = measure_training(replace(tiny, compile=True, rounds=1))
    assert [found.name for found in result.comparisons] == [STEP, *PARTS]
    assert [type(model) for model in compiled] == [SparseRCNN]


def test_options_of_ours_alone(tiny):
    setting = replace(tiny, ours_dtype='bfloat16', channels_last=True, fused=True, with_cp=True)
    ours, theirs, _ = training_step.build_steps(setting)
    assert ours.contestant.dtype == torch.bfloat16 and theirs.contestant.dtype == torch.float32
    assert ours.images.is_contiguous(memory_format=torch.channels_last) and theirs.images.is_contiguous()
    assert ours.model.roi_head.with_cp and ours.model.backbone.with_cp and not theirs.model.backbone.with_cp
    assert ours.optimizer.defaults['fused'] and not theirs.optimizer.defaults['fused']
    for step in (ours, theirs):
        step.run()
        assert all(weight.isfinite().all() and weight.dtype == torch.float32 for weight in step.weights)
