"""What a part refuses while it is made from its settings is a sentence; all else keeps its traceback."""

import pytest
from mmdet.registry import MODELS, TRANSFORMS
from mmengine.config import Config
from mmengine.runner import Runner

from sparse_rcnn_ext.engine.config.arguments import exit_on_user_error
from sparse_rcnn_ext.engine.config.build_errors import explain_build_error


def sentence(settings: dict, registry=MODELS) -> str:
    with pytest.raises(SystemExit) as exit_info, exit_on_user_error():
        registry.build(settings)
    return str(exit_info.value.code)


def test_value_that_torch_refuses():
    part = dict(type='sparse_rcnn_ext.EmbeddingRPNHead', num_proposals=-3, proposal_feature_channel=8)
    text = sentence(part)
    named = 'error: sparse_rcnn_ext.EmbeddingRPNHead(num_proposals=-3, proposal_feature_channel=8) cannot be used: '
    assert text.startswith(named)
    assert 'negative dimension -3' in text
    assert '\n' not in text


def test_innermost_part_is_named():
    inner = dict(type='RandomApply', transforms=[dict(type='RandomFlip', prob='often')])
    assert "RandomFlip(prob='often') cannot be used" in sentence(inner, TRANSFORMS)


def test_missing_setting():
    text = sentence(dict(type='FPN', in_channels=[8], num_outs=1))
    assert text.startswith('error: FPN(num_outs=1) cannot be used: ')
    assert 'out_channels' in text


def test_an_assertion_that_says_why():
    class Refuses:
        def __init__(self) -> None:
            raise AssertionError('levels are missing')

    assert ' cannot be used: levels are missing: correct' in sentence(dict(type=Refuses))


def test_an_assertion_without_a_text():
    text = sentence(dict(type='FPN', in_channels=[8, 8], out_channels=8, num_outs=1))
    assert ' cannot be used: num_outs >= self.num_ins - start_level does not hold: correct' in text


def test_what_the_runner_makes_itself(tmp_path):
    cfg = Config(
        dict(
            model=dict(type='ToyModel'),
            work_dir=str(tmp_path),
            train_cfg=dict(by_epoch=True, max_epochs=1),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=1)),
        )
    )
    with pytest.raises(SystemExit) as exit_info, exit_on_user_error():
        Runner.from_cfg(cfg)
    text = str(exit_info.value.code)
    assert text.startswith('error: what the Runner is made from cannot be used: ')
    assert 'train_dataloader' in text


def test_a_config_without_a_model(tmp_path):
    ends = pytest.raises(SystemExit, match=r'^error: the config has no model: add it, or correct a name ')
    with ends as exit_info, exit_on_user_error():
        Runner.from_cfg(Config(dict(modle=dict(type='ToyModel'), work_dir=str(tmp_path))))
    assert isinstance(exit_info.value.__cause__, KeyError)


def test_other_errors_stay():
    with pytest.raises(ZeroDivisionError) as error, exit_on_user_error():
        1 / 0  # noqa: B018
    assert explain_build_error(error.value) is None
