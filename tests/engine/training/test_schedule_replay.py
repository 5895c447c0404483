"""A resumed training follows the schedule of its config as if it had from its start."""

import pytest
from mmengine.hooks import Hook
from mmengine.registry import init_default_scope

from sparse_rcnn_ext.errors import UserError
from tests.durability.small_training import OURS, make_runner

COSINE = dict(type='CosineAnnealingLR', eta_min=0, by_epoch=True, convert_to_iter_based=True)
STEPS = dict(type='MultiStepLR', milestones=[1, 4], by_epoch=True)
WARM_UP = dict(type='LinearLR', start_factor=0.1, begin=0, end=7, by_epoch=False)


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmengine')


class NoteRates(Hook):
    """The learning rate of each iteration."""

    def __init__(self) -> None:
        self.rates = []

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        self.rates.append(runner.optim_wrapper.get_lr()['lr'][0])


@pytest.fixture
def rates(tmp_path):
    """``rates(schedulers, epochs, **settings)``: of a training of five iterations an epoch, by iteration."""

    def train(schedulers: list[dict], epochs: int, **settings) -> list[float]:
        runner = make_runner(tmp_path / str(epochs), OURS, epochs=epochs, **settings)
        runner.param_schedulers = [dict(one) for one in schedulers]
        hook = NoteRates()
        runner.register_hook(hook)
        runner.train()
        return hook.rates

    return train


@pytest.mark.parametrize(
    ('before', 'now'),
    [
        ([COSINE | dict(T_max=3)], [COSINE | dict(T_max=6)]),
        ([WARM_UP, COSINE | dict(T_max=3)], [WARM_UP, COSINE | dict(T_max=6)]),
        ([WARM_UP, STEPS], [WARM_UP, STEPS | dict(milestones=[2, 5], gamma=0.5)]),
        ([WARM_UP, STEPS], [STEPS]),
        ([STEPS], [WARM_UP | dict(end=18), COSINE | dict(T_max=6)]),
    ],
    ids=['longer', 'longer after a warm-up', 'other steps', 'one less', 'others'],
)
@pytest.mark.parametrize('interval', [dict(), dict(within=True, interval=3)], ids=['after an epoch', 'within one'])
def test_rates_are_those_of_a_training_from_the_start(rates, tmp_path, before, now, interval):
    rates(before, 3, **interval)
    whole = rates(now, 6)
    name = 'iter_12.pth' if interval else 'epoch_2.pth'
    resumed = rates(now, 6, resume=True, load_from=str(tmp_path / '3' / name), **interval)
    assert len(resumed) == (18 if interval else 20)
    assert resumed == pytest.approx(whole[-len(resumed) :], rel=1e-12)
    # The old one would have ended by then.
    assert resumed[-6] > 1e-5


def test_the_same_schedule_goes_on_to_the_last_digit(rates, tmp_path):
    whole = rates([WARM_UP, STEPS], 3)
    assert rates([WARM_UP, STEPS], 3, resume=True, load_from=str(tmp_path / '3/epoch_1.pth')) == whole[5:]


def test_rates_start_from_what_they_started_from(rates, tmp_path):
    """Another rate in the config is not taken, as the warning says, and does not come with the schedule."""
    rates([COSINE | dict(T_max=3)], 3)
    whole = rates([COSINE | dict(T_max=6)], 6)
    again = dict(resume=True, load_from=str(tmp_path / '3/epoch_2.pth'), rate=0.5)
    assert rates([COSINE | dict(T_max=6)], 6, **again) == pytest.approx(whole[10:], rel=1e-12)


def test_epochs_of_another_length(rates, tmp_path):
    """Twice as many iterations each: the schedule is where it is after two epochs."""
    rates([COSINE | dict(T_max=3)], 3)
    whole = rates([COSINE | dict(T_max=6)], 6, batch_size=2)
    again = dict(resume=True, load_from=str(tmp_path / '3/epoch_2.pth'), batch_size=2)
    assert rates([COSINE | dict(T_max=6)], 6, **again) == pytest.approx(whole[20:], rel=1e-12)


def test_what_cannot_be_followed_is_refused(rates, tmp_path):
    rates([STEPS], 3)
    now = dict(type='ReduceOnPlateauLR', monitor='loss')
    with pytest.raises(UserError, match='cannot be followed from the middle of a training: set it as it was, or'):
        rates([now], 6, resume=True, load_from=str(tmp_path / '3/epoch_2.pth'))
