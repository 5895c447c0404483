"""What mmengine does without our hooks, so that what the other tests show is known to be ours."""

from pathlib import Path

import pytest
from mmengine.fileio import LocalBackend
from mmengine.registry import init_default_scope
from mmengine.runner.checkpoint import find_latest_checkpoint

from tests.durability.small_training import STACK, make_runner


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmengine')


def test_broken_newest_checkpoint_is_taken(tmp_path):
    make_runner(tmp_path, hooks=STACK, epochs=2).train()
    newest = tmp_path / 'epoch_2.pth'
    newest.write_bytes(newest.read_bytes()[:1000])
    assert find_latest_checkpoint(str(tmp_path)) == str(newest)


def test_full_disk_leaves_a_broken_checkpoint_only(tmp_path, monkeypatch):
    make_runner(tmp_path, hooks=STACK, epochs=1, keep=1).train()
    runner = make_runner(tmp_path, hooks=STACK, epochs=2, keep=1, resume=True)

    def full(backend: LocalBackend, content: bytes, path: str) -> None:
        Path(path).write_bytes(content[:10])
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(LocalBackend, 'put', full)
    with pytest.raises(OSError, match='No space left'):
        runner.train()
    assert [path.stat().st_size for path in tmp_path.glob('*.pth')] == [10]
