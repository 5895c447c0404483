"""Folders that tools write into."""

from pathlib import Path

import pytest

from sparse_rcnn_ext.engine.errors import UserError
from sparse_rcnn_ext.engine.out_folder import make_folder


def test_it_is_made_with_those_above(tmp_path: Path):
    for _ in range(2):
        make_folder(tmp_path / 'a/b c', '--out')
        assert (tmp_path / 'a/b c').is_dir()


def test_one_that_cannot_be_made(tmp_path: Path):
    (tmp_path / 'file').touch()
    for path in (tmp_path / 'file', tmp_path / 'file/below'):
        with pytest.raises(UserError, match=rf'cannot make the folder {path} \(.*\): name another one as --out$'):
            make_folder(path, '--out')


def test_one_that_is_read_only(tmp_path: Path, monkeypatch):
    # Root may write anywhere.
    monkeypatch.setattr('os.access', lambda *_: False)
    with pytest.raises(UserError, match=r'cannot write into the folder .*: name another one as --out$'):
        make_folder(tmp_path, '--out')
