"""The effective batch, and the rate that belongs to it."""

from types import SimpleNamespace

import pytest
from mmengine.config import Config

from sparse_rcnn_ext.engine.config.schedule import set_learning_rate
from sparse_rcnn_ext.errors import UserError


def run(*, processes=1, images=2, accumulated=None, base=16, enable=False, resume=False):
    optim_wrapper = {'type': 'OptimWrapper', 'optimizer': {'type': 'AdamW', 'lr': 2.5e-5}}
    if accumulated:
        optim_wrapper['accumulative_counts'] = accumulated
    lines = []
    runner = SimpleNamespace(
        cfg=Config({'train_dataloader': {'batch_size': images}, 'resume': resume}),
        world_size=processes,
        optim_wrapper=optim_wrapper,
        auto_scale_lr={'enable': enable, 'base_batch_size': base},
        logger=SimpleNamespace(info=lines.append),
    )
    rate = set_learning_rate(runner)
    assert rate == optim_wrapper['optimizer']['lr']
    assert runner.auto_scale_lr is None, 'mmengine would scale again'
    return rate, lines[0]


def test_the_recipes_own_batch():
    rate, line = run(processes=8, enable=True)
    assert rate == 2.5e-5
    assert '2 (images per process) x 8 (processes) x 1 (accumulated steps) = 16. Learning rate: 2.5e-05' in line


def test_scales_linearly_with_accumulation():
    rate, line = run(processes=3, images=4, accumulated=5, enable=True)
    assert rate == pytest.approx(2.5e-5 * 60 / 16)
    assert '4 (images per process) x 3 (processes) x 5 (accumulated steps) = 60. ' in line
    assert line.endswith('Learning rate: 9.375e-05, scaled from 2.5e-05 for 16 images.')


def test_says_what_scaling_would_do():
    rate, line = run()
    assert rate == 2.5e-5
    assert line.endswith('chosen for 16 images; --auto-scale-lr would make it 3.125e-06.')


def test_resumed_run():
    assert run(resume=True)[1].endswith('A resumed run goes on with the rate of its checkpoint.')


def test_batches_of_several_data_sets():
    """Each has its own size; a step sees their mean."""
    rate, line = run(images=[2, 4], enable=True)
    assert rate == pytest.approx(2.5e-5 * 3 / 16)
    assert '3 (images per process) x 1 (processes) x 1 (accumulated steps) = 3. ' in line
    assert '2.5 (images per process)' in run(images=[2, 3])[1]


@pytest.mark.parametrize('name', ['train_dataloader', 'optim_wrapper'])
def test_a_config_for_tests_alone(name):
    settings = dict(cfg=Config({'train_dataloader': {'batch_size': 2}}), optim_wrapper=dict(optimizer=dict(lr=1)))
    settings |= dict(cfg=Config({'train_dataloader': None})) if name == 'train_dataloader' else {name: None}
    with pytest.raises(UserError, match='the config is one for tests alone: set train_dataloader, train_cfg and optim'):
        set_learning_rate(SimpleNamespace(**settings))


def test_scaling_needs_the_recipes_batch():
    with pytest.raises(UserError, match=r'auto_scale_lr\.base_batch_size'):
        run(base=None, enable=True)
