"""Which settings a class takes, parents that get its ``**kwargs`` included."""

import functools

import torch

from sparse_rcnn_ext.engine.config.accepted_settings import accepted_arguments


class Base:
    def __init__(self, a, *, b=1):
        self.values = a, b


class PassesOn(Base):
    def __init__(self, c, *args, **kwargs):
        self.c = c
        super().__init__(*args, **kwargs)


class Inherits(PassesOn):
    pass


class Keeps(Base):
    def __init__(self, d, **kwargs):
        super().__init__(**kwargs)
        self.others = kwargs


class Elsewhere(Base):
    def __init__(self, e, **settings):
        super().__init__(e)
        self.made = functools.partial(dict, **settings)


def test_without_kwargs():
    assert accepted_arguments(Base) == ({'a', 'b'}, False)


def test_kwargs_that_go_to_the_parent():
    assert accepted_arguments(PassesOn) == ({'a', 'b', 'c'}, False)
    assert accepted_arguments(Inherits) == ({'a', 'b', 'c'}, False)


def test_kwargs_that_may_be_anything():
    assert accepted_arguments(Keeps) == ({'d'}, True)
    assert accepted_arguments(Elsewhere) == ({'e'}, True)
    assert accepted_arguments(dict).others


def test_functions():
    assert accepted_arguments(lambda x, /, y, *, z=1: None) == ({'y', 'z'}, False)
    assert accepted_arguments(lambda y, **more: None) == ({'y'}, True)


def test_class_without_a_constructor():
    class Empty:
        pass

    assert accepted_arguments(Empty) == (frozenset(), False)


def test_of_torch():
    names, others = accepted_arguments(torch.optim.AdamW)
    assert {'params', 'lr', 'betas', 'weight_decay'} <= names
    assert not others
