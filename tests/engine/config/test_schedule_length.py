"""Schedules of another length, and the learning rates that they give."""

import math

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS
from torch import nn

from sparse_rcnn_ext.engine.config.schedule import set_epochs
from sparse_rcnn_ext.errors import UserError

WARM_UP = dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=5)


def steps(epochs: int, *milestones: int) -> dict:
    return dict(type='MultiStepLR', by_epoch=True, begin=0, end=epochs, milestones=list(milestones), gamma=0.1)


def config(*schedulers: dict, epochs: int, **settings) -> Config:
    train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=epochs, val_interval=settings.pop('val_interval', 1))
    content = dict(train_cfg=train_cfg, param_scheduler=list(schedulers), **settings)
    return Config(content, cfg_text='no file', filename='my.py')


def rates(cfg: Config, epoch_length: int = 10) -> list[float]:
    """The learning rate of every iteration, from mmengine's own schedulers; the recipe's is 1."""
    optimizer = dict(type='SGD', lr=1.0)
    wrapper: OptimWrapper = build_optim_wrapper(nn.Linear(1, 1), dict(type='OptimWrapper', optimizer=optimizer))
    schedulers = []
    for settings in cfg.to_dict()['param_scheduler']:
        settings.setdefault('by_epoch', True)
        if settings.get('convert_to_iter_based'):
            settings['epoch_length'] = epoch_length
        schedulers.append(PARAM_SCHEDULERS.build(settings, default_args=dict(optimizer=wrapper)))
    found = []
    for _ in range(cfg.train_cfg.max_epochs):
        for _ in range(epoch_length):
            found.append(wrapper.param_groups[0]['lr'])
            wrapper.step()
            for scheduler in schedulers:
                if not scheduler.by_epoch:
                    scheduler.step()
        for scheduler in schedulers:
            if scheduler.by_epoch:
                scheduler.step()
    return found


def test_steps_keep_their_shares_and_the_warm_up_its_length():
    cfg = config(WARM_UP, steps(36, 27, 33), epochs=36, val_interval=4)
    before = rates(cfg)
    set_epochs(cfg, 12)
    after = rates(cfg)
    assert (cfg.train_cfg.max_epochs, cfg.train_cfg.val_interval) == (12, 1)
    assert cfg.param_scheduler[1].milestones == [9, 11]
    assert len(after) == 120
    assert after[:10] == before[:10] and after[0] == pytest.approx(0.1) and after[9] == pytest.approx(1)
    assert after[10:] == before[30::3]  # each epoch stands for three


@pytest.mark.parametrize(('epochs', 'milestones'), [(1, [1, 1]), (2, [2, 2]), (6, [5, 6]), (72, [54, 66])])
def test_fractions_are_rounded_up(epochs: int, milestones: list[int]):
    cfg = config(WARM_UP, steps(36, 27, 33), epochs=36)
    set_epochs(cfg, epochs)
    assert cfg.param_scheduler[1].milestones == milestones
    assert min(rates(cfg)[5:15]) == pytest.approx(1), 'the rate does not fall at once'


def test_cosine_ends_at_zero(repo_dir):
    cfg = Config.fromfile(repo_dir / 'configs/_base_/schedules/schedule_quickstart.py')
    set_epochs(cfg, 3)
    assert (cfg.max_epochs, cfg.train_cfg.max_epochs, cfg.train_cfg.val_interval) == (3, 3, 1)
    found = rates(cfg, epoch_length=200)
    assert len(found) == 600
    expected = [(1 + math.cos(math.pi * step / 600)) / 2 for step in range(600)]
    torch.testing.assert_close(found[100:], expected[100:])
    assert found[0] == pytest.approx(0.01)


def test_warm_up_by_epochs_stays_and_the_cosine_follows_it():
    warm_up = dict(type='LinearLR', start_factor=0.1, begin=0, end=2)
    cosine = dict(type='CosineAnnealingLR', begin=2, end=12, T_max=10)
    cfg = config(warm_up, cosine, epochs=12)
    set_epochs(cfg, 7)
    assert cfg.param_scheduler[0] == warm_up
    assert cfg.param_scheduler[1] == dict(cosine, end=7, T_max=5)
    by_epoch = rates(cfg, epoch_length=1)
    assert by_epoch[:3] == pytest.approx([0.1, 1.0, 1.0])
    assert by_epoch[2:] == pytest.approx([(1 + math.cos(math.pi * step / 5)) / 2 for step in range(5)])


def test_milestones_count_from_where_their_scheduler_begins():
    late = dict(type='MultiStepLR', begin=6, end=12, milestones=[3], gamma=0.1)
    cfg = config(late, epochs=12)
    falls = rates(cfg, epoch_length=1).index(pytest.approx(0.1)) / 12
    set_epochs(cfg, 24)
    assert rates(cfg, epoch_length=1).index(pytest.approx(0.1)) / 24 == falls


@pytest.mark.parametrize('name', ['schedule_1x', 'schedule_3x', 'schedule_quickstart'])
def test_same_length_changes_nothing(repo_dir, name: str):
    cfg = Config.fromfile(repo_dir / f'configs/_base_/schedules/{name}.py')
    before = cfg.to_dict()
    set_epochs(cfg, cfg.train_cfg.max_epochs)
    assert cfg.to_dict() == before


@pytest.mark.parametrize(
    ('cfg', 'sentence'),
    [
        (
            Config(dict(train_cfg=dict(type='IterBasedTrainLoop', max_iters=9)), cfg_text='no file', filename='my.py'),
            r'^my\.py has no train_cfg\.max_epochs',
        ),
        (config(dict(type='StepLR', step_size=3), epochs=12), '^--epochs cannot change the StepLR of my.py: '),
        (
            config(dict(type='CosineAnnealingLR', by_epoch=False, T_max=900), epochs=12),
            '^--epochs cannot change the CosineAnnealingLR of my.py: ',
        ),
        # No warm-up, but a decay from the first epoch to the last.
        (
            config(dict(type='LinearLR', end_factor=0.0, end=12), epochs=12),
            '^--epochs cannot change the LinearLR of my.py: ',
        ),
        (
            config(dict(type='LinearLR', start_factor=0.1, end=4), steps(12, 8), epochs=12),
            r'^my\.py warms up for 4 epochs: --epochs must be more than that$',
        ),
    ],
)
def test_what_cannot_be_changed_is_one_sentence(cfg: Config, sentence: str):
    before = cfg.to_dict()
    with pytest.raises(UserError, match=sentence):
        set_epochs(cfg, 3)
    assert cfg.to_dict() == before
