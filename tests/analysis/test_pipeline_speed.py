"""Speed and shares of time of pipelines that take as long as they say."""

import numpy as np
import pytest
from mmcv.transforms import BaseTransform, Compose, RandomChoice

from sparse_rcnn_ext.analysis import pipeline_speed
from sparse_rcnn_ext.analysis.pipeline_speed import REST, measure_speed, recipe_variants, time_by_transform


class Clock:
    """Stands in for the module time; transforms turn it on."""

    def __init__(self) -> None:
        self.now = 5.0

    def process_time(self) -> float:
        return self.now

    perf_counter = process_time


class Spend(BaseTransform):
    """Takes ``seconds`` of its own, and then what its ``transforms`` take."""

    def __init__(self, clock: Clock, seconds: float, *transforms: BaseTransform) -> None:
        self.clock, self.seconds, self.transforms = clock, seconds, transforms

    def transform(self, results: dict) -> dict:
        self.clock.now += self.seconds
        for step in self.transforms:
            results = step(results)
        return results


class FastMosaic(Spend):
    pass


class Steps:
    """A data set: its pipeline, and ``seconds`` of its own; it knows which images it was asked for."""

    def __init__(self, clock: Clock, seconds: float, *transforms: BaseTransform) -> None:
        self.clock, self.seconds = clock, seconds
        self.pipeline = Compose(transforms)
        self.asked = []

    def __len__(self) -> int:
        return 7

    def __getitem__(self, index: int) -> dict:
        self.asked.append(index)
        self.clock.now += self.seconds
        return self.pipeline({'drawn': np.random.random()})


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(pipeline_speed, 'time', clock)
    return clock


def test_speed_and_ratio(clock):
    fast, slow = Steps(clock, 0.0, Spend(clock, 0.25)), Steps(clock, 0.5, Spend(clock, 0.5))
    speed = measure_speed([fast, slow], images=4, seconds=0)
    assert speed.first == (4.0,) * 3 and speed.second == (1.0,) * 3 and speed.ratios == (4.0,) * 3
    assert speed.medians == (4.0, 1.0)
    assert fast.asked == slow.asked, 'the same images'
    assert len(fast.asked) == 16, 'one round is not measured'


def test_measures_as_long_as_it_is_told(clock):
    speed = measure_speed([Steps(clock, 1.0)], images=2, seconds=9)
    assert len(speed.first) == 5 and speed.second == speed.ratios == ()
    assert speed.medians == (1.0,)


def test_more_images_than_there_are(clock):
    dataset = Steps(clock, 1.0)
    measure_speed([dataset], images=14, seconds=0)
    assert sorted(dataset.asked[:14]) == sorted([*range(7), *range(7)])


def test_time_is_the_one_that_a_transform_takes_itself(clock):
    inner = FastMosaic(clock, 0.25)
    dataset = Steps(clock, 0.125, Spend(clock, 0.5, inner, inner))
    assert time_by_transform(dataset, images=3) == {'Spend': 500.0, 'FastMosaic': 500.0, 'Compose': 0.0, REST: 125.0}
    plain_call = BaseTransform.__call__
    time_by_transform(dataset, images=1)
    assert BaseTransform.__call__ is plain_call


def test_branches_with_a_mosaic_and_without(clock):
    dataset = Steps(clock, 0.0)
    choice = RandomChoice([[Spend(clock, 0.0)]] * 3, prob=[0.5, 0.375, 0.125])
    choice.transforms = [
        Compose([Spend(clock, 0.0), FastMosaic(clock, 1.0)]),
        Compose([Spend(clock, 2.0)]),
        Compose([Spend(clock, 4.0)]),
    ]
    dataset.pipeline = Compose([Spend(clock, 8.0), choice])
    variants = recipe_variants(dataset)
    assert variants['whole recipe'] is dataset and choice.prob == [0.5, 0.375, 0.125]
    assert variants['mosaic only'].pipeline.transforms[1].prob == [1.0, 0.0, 0.0]
    assert variants['no mosaic'].pipeline.transforms[1].prob == pytest.approx([0.0, 0.75, 0.25])
    before = clock.now
    variants['mosaic only'][0]
    assert clock.now - before == 9.0


def test_a_pipeline_without_a_choice(clock):
    assert list(recipe_variants(Steps(clock, 0.0, Spend(clock, 1.0)))) == ['whole recipe']
