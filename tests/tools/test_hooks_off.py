"""Hooks that a config switches off, as mmengine does: with None."""

from pathlib import Path

import pytest
from mmengine.config import Config

from sparse_rcnn_ext.engine.speed.compilation import switch_compile

DEFAULTS = Config.fromfile(Path(__file__).parents[2] / 'configs/_base_/default_runtime.py').default_hooks


def off(*names: str) -> list[str]:
    return ['--cfg-options', *(f'default_hooks.{name}=None' for name in names)]


@pytest.mark.parametrize('hooks', [[name] for name in DEFAULTS] + [list(DEFAULTS)], ids=[*DEFAULTS, 'all'])
def test_any_hook_may_be_none_in_a_training(hooks, tiny_config, run_here, tmp_path):
    run_here('train.py', tiny_config, '--work-dir', tmp_path, *off(*hooks), 'train_dataloader.dataset.indices=2')
    assert (tmp_path / 'epoch_1.pth').is_file() == ('checkpoint' not in hooks)


def test_a_child_config_may_have_none(tiny_config, run_here, tmp_path):
    child = tmp_path / 'child.py'
    child.write_text(f'_base_ = [{str(tiny_config)!r}]\ndefault_hooks = dict(finite_loss=None, report=None)\n')
    run_here('train.py', child, '--work-dir', tmp_path / 'run', '--cfg-options', 'train_dataloader.dataset.indices=2')
    hooks = Config.fromfile(tmp_path / 'run/child.py').default_hooks
    assert {*DEFAULTS} - {*hooks} == {'finite_loss', 'report'}


def test_any_hook_may_be_none_in_a_test(random_detector, run_here, tmp_path):
    run_here('test.py', *random_detector, '--work-dir', tmp_path, *off(*DEFAULTS))


def test_show_dir_brings_back_the_hook_that_draws(random_detector, run_here, tmp_path):
    pictures = tmp_path / 'pictures'
    run_here('test.py', *random_detector, '--work-dir', tmp_path, '--show-dir', pictures, *off('visualization'))
    assert any(pictures.rglob('*.jpg'))


def test_a_test_leaves_the_checkpoint_fit_switched_off(random_detector, run_here, tmp_path):
    other_width = 'model.roi_head.bbox_head.num_classes=3'
    arguments = ['test.py', *random_detector, '--work-dir', tmp_path]
    with pytest.raises(SystemExit, match='does not fit the config'):
        run_here(*arguments, '--cfg-options', other_width)
    run_here(*arguments, *off('checkpoint_fit', 'class_names'), other_width)


def test_none_at_all():
    cfg = Config(dict(default_hooks=None, compile=True))
    switch_compile(cfg, False)
    assert cfg.default_hooks == dict(compile=dict(type='sparse_rcnn_ext.CompileHook', options=True))
