"""What a resume does not take from the config is said, with both values."""

import logging

import pytest
import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.registry import init_default_scope
from torch import nn

from sparse_rcnn_ext.errors import UserError
from tests.durability.compare import differences, load
from tests.durability.small_training import OURS, STACK, make_runner


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmengine')


@pytest.fixture
def warned(tmp_path, caplog):
    """``warned(**settings)`` does the second of two epochs again, and gives the warnings of that."""
    make_runner(tmp_path / 'run', epochs=2).train()

    def resume(change=None, hooks=None, **settings) -> list[str]:
        path = tmp_path / 'run/epoch_1.pth'
        settings = dict(epochs=2) | settings
        runner = make_runner(tmp_path / 'again', hooks or OURS, resume=True, load_from=str(path), **settings)
        if change:
            change(runner)
        runner.logger.addHandler(caplog.handler)
        caplog.clear()
        runner.train()
        ours = ('Settings of the config', 'The schedule of the config', 'was saved by a training of')
        return [
            record.getMessage()
            for record in caplog.records
            if record.levelno == logging.WARNING and any(word in record.getMessage() for word in ours)
        ]

    return resume


def test_same_settings_say_nothing(warned):
    assert warned() == []


SCHEDULERS = {
    'one cycle': [dict(type='OneCycleLR', eta_max=0.02, total_steps=10, by_epoch=False)],
    'momentum': [dict(type='LinearLR', start_factor=0.1, end=7), dict(type='LinearMomentum', start_factor=0.5, end=7)],
}


@pytest.mark.parametrize('kind', SCHEDULERS)
def test_schedulers_with_functions_and_of_betas_say_nothing(warned, tmp_path, kind):
    make_runner(tmp_path / 'run', epochs=2, schedulers=SCHEDULERS[kind]).train()
    assert warned(schedulers=SCHEDULERS[kind]) == []
    # No function is among what a checkpoint holds.
    torch.load(tmp_path / 'run/epoch_1.pth', weights_only=True)
    assert differences(tmp_path / 'run/epoch_2.pth', tmp_path / 'again/epoch_2.pth') == []


def test_longer_training(warned):
    """A schedule without an end of its own ended with the training."""
    (text,) = warned(epochs=3)
    assert 'MultiStepLR.end 3 in the config, 2 in the checkpoint' in text


def test_learning_rate(warned, tmp_path):
    (text,) = warned(rate=0.5)
    assert 'lr 0.5 in the config, 0.01 in the checkpoint' in text
    assert text.count('lr ') == 1
    assert f'load_from={tmp_path}/run/epoch_1.pth instead of --resume' in text
    # As it says.
    assert load(tmp_path / 'again/epoch_2.pth')['optimizer']['param_groups'][0]['initial_lr'] == 0.01


def test_mmengine_alone_is_silent(warned):
    assert warned(hooks=STACK, rate=0.5, milestones=(1,), batch_size=2) == []


def test_schedule(warned):
    (text,) = warned(milestones=(2, 5))
    assert 'MultiStepLR.milestones [2, 5] in the config, [2, 3] in the checkpoint' in text
    assert 'LinearLR' not in text and 'lr ' not in text


def test_weight_decay(warned):
    def change(runner) -> None:
        runner.optim_wrapper['optimizer']['weight_decay'] = 0.3

    (text,) = warned(change)
    assert 'weight_decay 0.3 in the config, 0.01 in the checkpoint' in text


def test_schedulers_of_several_optimizers(tmp_path):
    """By name, each with its own; no function is in the checkpoint, and a resumed training is the same."""

    def training(folder: str, **settings):
        runner = make_runner(tmp_path / folder, epochs=2, **settings)
        model = runner.model
        parts = dict(first=model.layers[0], last=model.layers[3])
        runner.optim_wrapper = OptimWrapperDict(
            **{name: OptimWrapper(torch.optim.AdamW(part.parameters(), lr=0.01)) for name, part in parts.items()}
        )
        runner.param_schedulers = dict.fromkeys(parts, SCHEDULERS['one cycle'])

        def train_step(data: dict, optim_wrapper: OptimWrapperDict) -> dict:
            loss = model(**model.data_preprocessor(data, True), mode='loss')['loss']
            for wrapper in optim_wrapper.values():
                wrapper.zero_grad()
            loss.backward()
            for wrapper in optim_wrapper.values():
                wrapper.step()
            return dict(loss=loss)

        model.train_step = train_step
        runner.train()

    training('run')
    first = tmp_path / 'run/epoch_1.pth'
    states = torch.load(first, weights_only=True)['param_schedulers']
    assert {name: state[0]['last_step'] for name, state in states.items()} == dict(first=5, last=5)
    training('again', resume=True, load_from=str(first))
    assert differences(tmp_path / 'run/epoch_2.pth', tmp_path / 'again/epoch_2.pth') == []


def test_second_of_betas_beside_a_momentum_scheduler(warned, tmp_path):
    """The scheduler sets the first of them, so that alone is not compared."""
    make_runner(tmp_path / 'run', epochs=2, schedulers=SCHEDULERS['momentum']).train()

    def change(runner) -> None:
        runner.optim_wrapper['optimizer']['betas'] = (0.9, 0.95)

    (text,) = warned(change, schedulers=SCHEDULERS['momentum'])
    assert '0.95) in the config' in text and '0.999) in the checkpoint' in text


def test_other_scheduler_and_another_number(warned):
    def other(runner) -> None:
        runner.param_schedulers[1] = dict(type='CosineAnnealingLR', T_max=3)

    def fewer(runner) -> None:
        del runner.param_schedulers[1]

    (text,) = warned(other)
    assert 'CosineAnnealingLR in the config, a scheduler with gamma, milestones in the checkpoint' in text
    (text,) = warned(fewer)
    assert 'number of schedulers 1 in the config, 2 in the checkpoint' in text


def test_other_groups_of_parameters_are_an_error(warned):
    def change(runner) -> None:
        runner.optim_wrapper['paramwise_cfg'] = dict(custom_keys={'layers.0': dict(lr_mult=0.1)})

    with pytest.raises(UserError, match=r'epoch_1\.pth was saved with 1 groups .* has 6: set optim_wrapper as it was'):
        warned(change)


def test_other_optimizer_is_an_error(warned):
    def change(runner) -> None:
        runner.optim_wrapper['optimizer'] = dict(type='SGD', lr=0.01, momentum=0.9)

    with pytest.raises(UserError, match=r'by another optimizer, without dampening, momentum, nesterov, .* is SGD: set'):
        warned(change)


def test_other_number_of_parameters_is_an_error(warned):
    def change(runner) -> None:
        runner.model.more = nn.Linear(2, 2)

    with pytest.raises(
        UserError, match=r'with 6 parameters in group 0 of the optimizer, and with the config .* 8: set'
    ):
        warned(change)


def test_batch(warned):
    (text,) = warned(batch_size=2)
    assert '1 (processes) x 4 (images) x 2 (accumulated steps) = 8, and this one has 1 (processes) x 2' in text


def test_accumulated_steps(warned):
    (text,) = warned(accumulated=3)
    assert 'x 2 (accumulated steps) = 8, and this one has 1 (processes) x 4 (images) x 3 (accumulated' in text


def test_processes(warned, tmp_path):
    """As if two had saved it."""
    path = tmp_path / 'run/epoch_1.pth'
    state = load(path)
    state['run_state']['batch']['processes'] = 2
    torch.save(state, path)
    (text,) = warned()
    assert '2 (processes) x 4 (images) x 2 (accumulated steps) = 16, and this one has 1 (processes)' in text
