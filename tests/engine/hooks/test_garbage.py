"""Circular references that a checkpoint or a validation leaves are freed at once."""

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
from mmengine.hooks import Hook

from sparse_rcnn_ext.engine.hooks import GarbageHook
from tests.engine.line_runner import make_runner


class Litter(Hook):
    """Leaves a circle of two objects at a point of the training, and says how many of them are alive at each step."""

    def __init__(self, point: str) -> None:
        self.left: list[weakref.ref] = []
        self.alive: list[int] = []
        setattr(self, point, self.leave)

    def leave(self, *arguments: object, **named: object) -> None:
        first, second = Litter.Piece(), Litter.Piece()
        first.other, second.other = second, first
        self.left.append(weakref.ref(first))

    def before_train_iter(self, *arguments: object, **named: object) -> None:
        self.alive.append(sum(piece() is not None for piece in self.left))

    class Piece:
        other: object


@pytest.fixture(autouse=True)
def no_collections_by_chance() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


def train(folder: Path, hooks: list[Hook]) -> None:
    runner = make_runner(folder, max_epochs=3)
    for hook in hooks:
        runner.register_hook(hook)
    runner.train()


@pytest.mark.parametrize('point', ['before_save_checkpoint', 'after_val_epoch'])
def test_nothing_stays_until_the_next_step(tmp_path, point):
    without, with_it = Litter(point), Litter(point)
    train(tmp_path / 'without', [without])
    assert without.alive[-1] >= 2
    train(tmp_path / 'with', [with_it, GarbageHook()])
    assert len(with_it.left) == len(without.left)
    assert with_it.alive == [0] * 6


@pytest.mark.parametrize('by_another', [False, True])
def test_what_was_there_is_set_aside(tmp_path, monkeypatch, by_another):
    """So that collections are short; not where somebody else has done so, and would find it undone."""
    calls = []
    monkeypatch.setattr(gc, 'get_freeze_count', lambda: 10**6 if by_another else 400)
    for name in ('freeze', 'unfreeze', 'collect'):
        monkeypatch.setattr(gc, name, lambda name=name: calls.append(name))
    hook = GarbageHook()
    train(tmp_path, [hook])
    # One for each checkpoint and each validation.
    rest = ['collect'] * 6
    assert calls == (rest if by_another else ['collect', 'freeze', *rest, 'unfreeze'])
