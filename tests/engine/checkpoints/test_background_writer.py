"""What is left to the thread is done in order, or not at all, and nobody misses it."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path

import pytest
from mmengine.fileio import get_file_backend

from sparse_rcnn_ext.engine.checkpoints.atomic_file import TEMPORARY
from sparse_rcnn_ext.engine.checkpoints.background_writer import BACKGROUND, WRITER, BackgroundWriter
from sparse_rcnn_ext.errors import UserError
from tests.fork_server import LIMIT


@pytest.fixture
def disk(monkeypatch) -> Iterator[threading.Event]:
    """Nothing reaches the disk before this is set."""
    event, fsync = threading.Event(), os.fsync

    def wait(descriptor: int) -> None:
        assert event.wait(LIMIT)
        fsync(descriptor)

    monkeypatch.setattr(os, 'fsync', wait)
    yield event
    event.set()


def fail() -> None:
    raise UserError('full')


def test_writes_while_the_disk_is_slow(tmp_path, disk):
    writer, path = BackgroundWriter(), tmp_path / 'folder/a.pth'
    writer.write(path, b'content')
    writer.check()
    # The system has it all: memory may be used again.
    assert path.with_name('a.pth' + TEMPORARY).read_bytes() == b'content' and not path.exists()
    writer.submit(path.rename, tmp_path / 'b.pth')
    disk.set()
    writer.wait()
    assert (tmp_path / 'b.pth').read_bytes() == b'content'
    assert not list(path.parent.iterdir()) and open_files(tmp_path) == []


def test_the_next_file_waits_for_the_one_before(tmp_path, disk):
    writer, done = BackgroundWriter(), []
    writer.write(tmp_path / 'a', b'a')
    writer.submit(lambda: done.append((tmp_path / 'a').exists()))
    disk.set()
    writer.write(tmp_path / 'b', b'b')
    assert done == [True]
    writer.wait()


def test_nothing_is_done_after_a_failure():
    writer, begin, done = BackgroundWriter(), threading.Event(), []
    writer.submit(begin.wait, LIMIT)
    writer.submit(fail)
    writer.submit(done.append, 1)
    writer.check()
    begin.set()
    with pytest.raises(UserError, match='full'):
        writer.wait()
    # Once.
    writer.wait()
    writer.submit(done.append, 2)
    writer.wait()
    assert done == [2]


def test_check_raises_and_forgets_those_behind():
    writer, done = BackgroundWriter(), []
    writer.submit(fail)
    writer._last.result()
    writer.submit(done.append, 1)
    with pytest.raises(UserError, match='full'):
        writer.check()
    writer.check()
    assert done == []


def test_give_up():
    writer = BackgroundWriter()
    writer.submit(fail)
    assert str(writer.give_up()) == 'full'
    assert writer.give_up() is None


@pytest.mark.parametrize('call', ['fsync', 'replace'])
def test_full_disk(tmp_path, monkeypatch, call):
    """As in the foreground."""

    def full(*args: object) -> None:
        raise OSError(28, 'No space left on device')

    writer = BackgroundWriter()
    monkeypatch.setattr(os if call == 'fsync' else Path, call, full)
    writer.write(tmp_path / 'a', b'a')
    with pytest.raises(UserError, match=r'/a cannot be written \(No space left on device\): free some'):
        writer.wait()
    assert not list(tmp_path.iterdir()) and open_files(tmp_path) == []


def open_files(folder: Path) -> list[str]:
    """Files in ``folder`` that this process has open."""
    found = list(Path('/proc/self/fd').iterdir())
    # But for the one that listed them.
    return [str(path.readlink()) for path in found if path.is_symlink() and folder in path.readlink().parents]


def test_a_fork_has_neither_jobs_nor_files(tmp_path, disk):
    """It could do no job, without the thread; and a file that is deleted takes space while a worker has it open."""
    writer = BackgroundWriter()
    writer.write(tmp_path / 'a', b'a')
    assert len(open_files(tmp_path)) == 1

    def check() -> None:
        assert open_files(tmp_path) == []
        writer.wait()
        disk.set()
        writer.write(tmp_path / 'b', b'b')
        writer.wait()

    child = get_context('fork').Process(target=check)
    child.start()
    child.join(LIMIT)
    assert child.exitcode == 0 and (tmp_path / 'b').exists() and not (tmp_path / 'a').exists()
    disk.set()
    writer.wait()
    assert (tmp_path / 'a').exists() and open_files(tmp_path) == []


def test_a_process_ends_after_its_jobs(tmp_path, repo_dir):
    program = """
import sys
from sparse_rcnn_ext.engine.checkpoints.background_writer import WRITER
WRITER.submit(sys.stdin.readline)
WRITER.submit(open(sys.argv[1], 'w').write, 'done')
print('ended', flush=True)
raise SystemExit(3)
"""
    command = [sys.executable, '-c', program, str(tmp_path / 'a')]
    process = subprocess.Popen(command, cwd=repo_dir, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    while process.stdout.readline() != 'ended\n':
        assert process.poll() is None
    assert (tmp_path / 'a').read_text() == ''
    process.communicate('\n', timeout=LIMIT)
    assert process.returncode == 3 and (tmp_path / 'a').read_text() == 'done'


def test_backend_of_mmengine(tmp_path, disk):
    backend = get_file_backend(str(tmp_path / 'a'), backend_args=dict(backend=BACKGROUND))
    backend.put(b'bytes', str(tmp_path / 'a'))
    assert not (tmp_path / 'a').exists()
    disk.set()
    WRITER.wait()
    assert (tmp_path / 'a').read_bytes() == b'bytes'
