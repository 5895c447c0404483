"""What the tools make of a config file and their arguments."""

import copy
import pickle
from pathlib import Path

import mmengine.config.config
import pytest
import torch
from mmengine.config import Config

from sparse_rcnn_ext.engine.config.run_config import (
    check_checkpoint,
    choose_checkpoint,
    load_config,
    stop_early,
    switch_amp,
)
from sparse_rcnn_ext.errors import UserError


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
        cfg = load_config(path, {'size': 7, 'levels.second': 1, 'load_from': 'a.pth'}, None)
        assert (cfg.size, cfg.levels, cfg.load_from) == (7, dict(first=7, second=1), 'a.pth')
        assert (cfg.work_dir, cfg.filename) == ('work_dirs/my recipe', path)

    def test_knob_that_the_config_refuses(self, path):
        Path(path).write_text('size = 3\nlevels = dict(first=size / 2)\n')
        with pytest.raises(UserError, match=r'my recipe.py cannot be evaluated with --cfg-options size=large: .*str'):
            load_config(path, {'size': 'large'}, None)

    def test_sentence_of_the_config_itself(self, path):
        text = 'from sparse_rcnn_ext.engine.config import knobs\nknobs.check_whole(1, size=size)\n'
        Path(path).write_text(f'size = 3\n_base_ = []\n{text}')
        with pytest.raises(UserError, match=r'^size is 0: set it to a whole number of at least 1$'):
            load_config(path, {'size': 0}, None)

    def test_text_is_formatted_once(self, path, monkeypatch):
        # Upstream looks it up in its own module, the maintained mmengine in yapf's.
        yapf_api = pytest.importorskip('yapf.yapflib.yapf_api', reason='mmengine formats with it')
        owner = mmengine.config.config if hasattr(mmengine.config.config, 'FormatCode') else yapf_api
        texts, format_code = [], yapf_api.FormatCode.original

        def count(text, **settings):
            texts.append(text)
            return format_code(text, **settings)

        monkeypatch.setattr(owner, 'FormatCode', count)
        cfg = load_config(path, None, 'as no other')
        first = cfg.pretty_text
        # A Runner works on copies of copies.
        assert [copy.deepcopy(cfg).pretty_text, cfg.copy().pretty_text, cfg.pretty_text] == [first] * 3
        assert len(texts) == 1
        cfg.size = 4
        assert cfg.pretty_text == first.replace('size = 3', 'size = 4') != first
        assert len(texts) == 2
        assert Config(cfg.to_dict()).pretty_text == cfg.pretty_text

    def test_a_changed_file_is_read_anew(self, path):
        """In the test processes too, which remember what mmengine asks a config's text."""
        assert hasattr(Config._get_base_files, '__wrapped__') and hasattr(Config._is_lazy_import, '__wrapped__')
        bases = [Path(path).with_name(name) for name in ('a.py', 'b.py')]
        for number, base in enumerate(bases):
            base.write_text(f'number = {number}\n')
        for number, base in enumerate(bases):
            Path(path).write_text(f'_base_ = [{base.name!r}]\n')
            assert load_config(path, None, None).number == number
        Path(path).write_text('from mmdet.models import FPN\n\nneck = dict(type=FPN)\n')
        assert Config.fromfile(path)._imported_names == {'FPN'}

    def test_missing_file(self):
        with pytest.raises(UserError, match=r'no config file nowhere\.py'):
            load_config('nowhere.py', None, None)

    def test_another_kind_of_file(self, tmp_path):
        (tmp_path / 'a.jpg').touch()
        with pytest.raises(UserError, match=r'a\.jpg is no config file: give one that ends in \.py, '):
            load_config(str(tmp_path / 'a.jpg'), None, None)

    def test_option_that_does_not_fit(self, path):
        with pytest.raises(UserError, match=r'--cfg-options does not fit .*size'):
            load_config(path, {'size.first': 1}, None)


class TestChooseCheckpoint:
    @pytest.fixture
    def cfg(self, tmp_path):
        torch.save({}, tmp_path / 'start.pth')
        return Config({'work_dir': str(tmp_path / 'run'), 'load_from': str(tmp_path / 'start.pth'), 'resume': False})

    def test_auto_without_a_checkpoint_keeps_load_from(self, cfg, tmp_path):
        choose_checkpoint(cfg, 'auto')
        assert cfg.load_from == str(tmp_path / 'start.pth')
        assert cfg.resume is False

    def test_auto_takes_the_last_checkpoint(self, cfg, tmp_path):
        (tmp_path / 'run').mkdir()
        last = tmp_path / 'run/epoch_2.pth'
        torch.save({}, last)
        (tmp_path / 'run/last_checkpoint').write_text(str(last))
        choose_checkpoint(cfg, 'auto')
        assert (cfg.load_from, cfg.resume) == (str(last), True)

    def test_auto_after_the_run_was_moved(self, cfg, tmp_path):
        (tmp_path / 'run').mkdir()
        torch.save({}, tmp_path / 'run/epoch_2.pth')
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


class TestCheckCheckpoint:
    @pytest.mark.parametrize('zipped', [True, False], ids=['format since torch 1.6', 'format before'])
    def test_file_of_torch(self, zipped, tmp_path):
        torch.save({}, tmp_path / 'a.pth', _use_new_zipfile_serialization=zipped)
        check_checkpoint(str(tmp_path / 'a.pth'), '--resume')

    def test_address(self):
        check_checkpoint('https://somewhere/a.pth', '--resume')

    @pytest.mark.parametrize('content', [b'', b'hello', pickle.dumps({'model': {}})], ids=['empty', 'text', 'pickle'])
    def test_other_file(self, content, tmp_path):
        (tmp_path / 'a.pth').write_bytes(content)
        with pytest.raises(UserError, match=r'a\.pth is no file of torch\.save.*: --resume must name a checkpoint'):
            check_checkpoint(str(tmp_path / 'a.pth'), '--resume')

    def test_file_that_was_cut_off(self, tmp_path):
        path = tmp_path / 'a.pth'
        torch.save(dict(weight=torch.rand(100, 100)), path)
        path.write_bytes(path.read_bytes()[:20000])
        with pytest.raises(UserError, match='or was cut off'):
            check_checkpoint(str(path), '--resume')


class TestStopEarly:
    def test_sets_the_number(self):
        cfg = Config({'model': {'type': 'sparse_rcnn_ext.SparseRCNN', 'test_cfg': {'max_per_img': 7}}})
        stop_early(cfg, 2)
        assert cfg.model.test_cfg == {'max_per_img': 7, 'num_stages': 2}

    @pytest.mark.parametrize('name', ['SparseRCNN', 'FasterRCNN'])
    def test_other_model(self, name):
        with pytest.raises(UserError, match=f'--stages needs a sparse_rcnn_ext.SparseRCNN, and the model is a {name}'):
            stop_early(Config({'model': {'type': name}}), 2)


@pytest.mark.parametrize(('flag', 'dtype'), [('bf16', 'bfloat16'), ('fp16', 'float16'), ('auto', None)])
def test_switch_amp(flag, dtype):
    cfg = Config(
        {'optim_wrapper': {'type': 'OptimWrapper', 'optimizer': {'type': 'SGD'}, 'clip_grad': {'max_norm': 1}}}
    )
    switch_amp(cfg, flag)
    assert cfg.optim_wrapper.type == 'sparse_rcnn_ext.AmpOptimWrapper'
    assert cfg.optim_wrapper.dtype == dtype
    assert cfg.optim_wrapper.clip_grad.max_norm == 1
