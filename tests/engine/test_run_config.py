"""What the tools make of a config file and their arguments."""

from pathlib import Path

import pytest
from mmengine.config import Config

from sparse_rcnn_ext.engine.errors import UserError
from sparse_rcnn_ext.engine.run_config import choose_checkpoint, load_config, switch_amp


class TestLoadConfig:
    @pytest.fixture
    def path(self, tmp_path):
        path = tmp_path / 'my recipe.py'
        path.write_text('size = 3\nlevels = dict(first=1)\n')
        return str(path)

    def test_work_dir_is_named_after_the_config(self, path):
        assert load_config(path, None, None).work_dir == 'work_dirs/my recipe'

    def test_work_dir_of_the_config_and_of_the_command(self, path):
        assert load_config(path, {'work_dir': 'a'}, None).work_dir == 'a'
        assert load_config(path, {'work_dir': 'a'}, 'b').work_dir == 'b'

    def test_options_override(self, path):
        assert load_config(path, {'levels.first': 5}, None).levels.first == 5

    def test_knobs_and_settings(self, path):
        Path(path).write_text('size = 3\nlevels = dict(first=size, second=size)\n')
        cfg = load_config(path, {'size': 7, 'levels.second': 1, 'new': 5}, None)
        assert (cfg.size, cfg.levels, cfg.new) == (7, dict(first=7, second=1), 5)
        assert (cfg.work_dir, cfg.filename) == ('work_dirs/my recipe', path)

    def test_knob_that_the_config_refuses(self, path):
        Path(path).write_text('size = 3\nlevels = dict(first=size / 2)\n')
        with pytest.raises(UserError, match=r'my recipe.py cannot be evaluated with --cfg-options size=large: .*str'):
            load_config(path, {'size': 'large'}, None)

    def test_sentence_of_the_config_itself(self, path):
        text = 'from sparse_rcnn_ext.engine import knob_checks\nknob_checks.check_whole(1, size=size)\n'
        Path(path).write_text(f'size = 3\n_base_ = []\n{text}')
        with pytest.raises(UserError, match=r'^size is 0: set it to a whole number of at least 1$'):
            load_config(path, {'size': 0}, None)

    def test_missing_file(self):
        with pytest.raises(UserError, match=r'no config file nowhere\.py'):
            load_config('nowhere.py', None, None)

    def test_option_that_does_not_fit(self, path):
        with pytest.raises(UserError, match=r'--cfg-options does not fit .*size'):
            load_config(path, {'size.first': 1}, None)


class TestChooseCheckpoint:
    @pytest.fixture
    def cfg(self, tmp_path):
        (tmp_path / 'start.pth').touch()
        return Config({'work_dir': str(tmp_path / 'run'), 'load_from': str(tmp_path / 'start.pth'), 'resume': False})

    def test_auto_without_a_checkpoint_keeps_load_from(self, cfg, tmp_path):
        choose_checkpoint(cfg, 'auto')
        assert cfg.load_from == str(tmp_path / 'start.pth')
        assert cfg.resume is False

    def test_auto_takes_the_last_checkpoint(self, cfg, tmp_path):
        (tmp_path / 'run').mkdir()
        last = tmp_path / 'run/epoch_2.pth'
        last.touch()
        (tmp_path / 'run/last_checkpoint').write_text(str(last))
        choose_checkpoint(cfg, 'auto')
        assert (cfg.load_from, cfg.resume) == (str(last), True)

    def test_auto_after_the_run_was_moved(self, cfg, tmp_path):
        (tmp_path / 'run').mkdir()
        (tmp_path / 'run/epoch_2.pth').touch()
        (tmp_path / 'run/last_checkpoint').write_text('/elsewhere/run/epoch_2.pth')
        choose_checkpoint(cfg, 'auto')
        assert (cfg.load_from, cfg.resume) == (str(tmp_path / 'run/epoch_2.pth'), True)

    def test_path(self, cfg, tmp_path):
        choose_checkpoint(cfg, str(tmp_path / 'start.pth'))
        assert (cfg.load_from, cfg.resume) == (str(tmp_path / 'start.pth'), True)

    def test_missing_path(self, cfg):
        with pytest.raises(UserError, match=r'no checkpoint file nowhere\.pth: --resume'):
            choose_checkpoint(cfg, 'nowhere.pth')

    def test_missing_load_from(self, cfg):
        cfg.load_from = 'nowhere.pth'
        with pytest.raises(UserError, match=r'no checkpoint file nowhere\.pth: load_from'):
            choose_checkpoint(cfg, None)

    def test_nothing_asked(self, cfg, tmp_path):
        choose_checkpoint(cfg, None)
        assert (cfg.load_from, cfg.resume) == (str(tmp_path / 'start.pth'), False)


@pytest.mark.parametrize(('flag', 'dtype'), [('bf16', 'bfloat16'), ('fp16', 'float16'), ('auto', None)])
def test_switch_amp(flag, dtype):
    cfg = Config(
        {'optim_wrapper': {'type': 'OptimWrapper', 'optimizer': {'type': 'SGD'}, 'clip_grad': {'max_norm': 1}}}
    )
    switch_amp(cfg, flag)
    assert cfg.optim_wrapper.type == 'sparse_rcnn_ext.AmpOptimWrapper'
    assert cfg.optim_wrapper.dtype == dtype
    assert cfg.optim_wrapper.clip_grad.max_norm == 1
