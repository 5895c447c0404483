"""Which Runner a config gets."""

import pytest
from mmengine.config import Config
from mmengine.registry import MODELS, RUNNERS
from mmengine.runner import Runner

from sparse_rcnn_ext.engine.config.run_config import build_runner
from sparse_rcnn_ext.errors import UserError
from tests.engine.line_runner import Line


class Other(Runner):
    """One of the user's own."""


@pytest.fixture(autouse=True)
def registered(monkeypatch) -> None:
    monkeypatch.setitem(RUNNERS._module_dict, 'Other', Other)
    monkeypatch.setitem(MODELS._module_dict, 'Line', Line)


def config(folder, **settings: object) -> Config:
    return Config(dict(model=dict(type='Line'), work_dir=str(folder), default_scope='mmengine', **settings))


def test_a_subclass_of_runner_is_obeyed(tmp_path):
    assert type(build_runner(config(tmp_path, runner_type='Other'))) is Other
    assert type(build_runner(config(tmp_path, runner_type=None, strategy=None))) is Runner


@pytest.mark.parametrize('name', ['FlexibleRunner', 'Runer'])
def test_any_other_runner_is_refused(tmp_path, name):
    with pytest.raises(UserError) as error:
        build_runner(config(tmp_path, runner_type=name, strategy=dict(type='SingleDeviceStrategy')))
    assert str(error.value) == (
        f'runner_type is {name!r}, which is no Runner of mmengine and could not resume or be stopped as ours are: '
        'set runner_type and strategy to None'
    )


def test_a_strategy_that_nothing_reads_is_refused(tmp_path):
    with pytest.raises(
        UserError, match=r'^strategy is nothing that a Runner reads, only .* FlexibleRunner: set it to None'
    ):
        build_runner(config(tmp_path, strategy=dict(type='DDPStrategy')))
