"""A file is whole at any moment, whatever goes wrong while it is written."""

import errno
import os
from pathlib import Path

import pytest
from mmengine.fileio import get_file_backend

from sparse_rcnn_ext.engine.checkpoints.atomic_file import ATOMIC, TEMPORARY, write_atomically
from sparse_rcnn_ext.errors import UserError


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / 'folder/epoch_1.pth'
    write_atomically(path, b'old')
    return path


def test_writes(file):
    assert file.read_bytes() == b'old'
    write_atomically(file, b'new')
    assert file.read_bytes() == b'new'
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize('number', [errno.ENOSPC, errno.EDQUOT, errno.EIO])
@pytest.mark.parametrize('call', ['write', 'fsync', 'replace'])
def test_failure_leaves_the_old_and_says_so(file, monkeypatch, call, number):
    def fail(*args, **options):
        raise OSError(number, os.strerror(number))

    if call == 'write':
        opened = Path.open

        def open_full(path, mode):
            handle = opened(path, mode, buffering=0)
            handle.write(b'ha')
            handle.write = fail
            return handle

        monkeypatch.setattr(Path, 'open', open_full)
    elif call == 'fsync':
        monkeypatch.setattr(os, 'fsync', fail)
    else:
        monkeypatch.setattr(Path, 'replace', fail)
    with pytest.raises(UserError, match=rf'epoch_1\.pth cannot be written \({os.strerror(number)}\): .*--resume'):
        write_atomically(file, b'new')
    monkeypatch.undo()
    assert file.read_bytes() == b'old'
    assert list(file.parent.iterdir()) == [file]


def test_content_is_on_the_disk_before_it_has_its_name(file, monkeypatch):
    order = []
    fsync, replace = os.fsync, Path.replace
    temporary = str(file) + TEMPORARY

    def note_fsync(descriptor):
        order.append(str(Path(f'/proc/self/fd/{descriptor}').readlink()))
        fsync(descriptor)

    def note_replace(path, target):
        order.append('renamed')
        return replace(path, target)

    monkeypatch.setattr(os, 'fsync', note_fsync)
    monkeypatch.setattr(Path, 'replace', note_replace)
    write_atomically(file, b'new')
    assert order == [temporary, 'renamed', str(file.parent)]


def test_backend_of_mmengine(tmp_path, monkeypatch):
    backend = get_file_backend(str(tmp_path / 'a'), backend_args=dict(backend=ATOMIC))
    renamed = []
    replace = Path.replace
    monkeypatch.setattr(Path, 'replace', lambda path, target: renamed.append(path.name) or replace(path, target))
    backend.put(b'bytes', str(tmp_path / 'a'))
    backend.put_text('é', str(tmp_path / 'b'))
    assert renamed == ['a.tmp', 'b.tmp']
    assert (tmp_path / 'a').read_bytes() == b'bytes'
    assert (tmp_path / 'b').read_text(encoding='utf-8') == 'é'
