"""tools/analysis/visualize_stages.py on given images."""

from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.report.conftest import mmdet_scope_of_session
from tests.visualization.conftest import checkpoint, known_proposals, picture_config

__all__ = ['checkpoint', 'known_proposals', 'mmdet_scope_of_session', 'picture_config']


@pytest.fixture(scope='module')
def tool(run_here):
    return partial(run_here, 'analysis/visualize_stages.py')


@pytest.fixture
def config(picture_config, tmp_path: Path) -> Path:
    path = tmp_path / 'pictures.py'
    picture_config.dump(path)
    return path


@pytest.fixture
def images(picture_config) -> list[Path]:
    return sorted(Path(picture_config.test_dataloader.dataset.data_root).glob('*.png'))


def test_each_image(tool, config, checkpoint, images, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    twin = tmp_path / 'other' / images[0].name
    twin.parent.mkdir()
    # In grey, and by another suffix.
    grey = twin.with_suffix('.jpg')
    cv2.imwrite(str(grey), cv2.imread(str(images[0]), cv2.IMREAD_GRAYSCALE))
    tool(config, checkpoint, images[0], images[2], grey, '--side', 200)
    names = ['1.png', '3.png', '1-2.png']
    written = [line for line in capsys.readouterr().out.splitlines() if line.startswith('Wrote')]
    assert written == [f'Wrote work_dirs/pictures/stages/{name}' for name in names]
    first, _, again = (cv2.imread(f'work_dirs/pictures/stages/{name}') for name in names)
    # Proposals and two stages, without a panel for a truth that nobody gave.
    assert 3 * 200 < first.shape[1] < 4 * 200
    assert first.shape == again.shape and np.abs(first.astype(int) - again).mean() < 20


def test_out(tool, config, checkpoint, images, tmp_path: Path):
    tool(config, checkpoint, images[1], '--out', tmp_path / 'a folder', '--score-thr', 0.9)
    assert [path.name for path in (tmp_path / 'a folder').iterdir()] == ['2.png']


def test_user_errors(tool, config, checkpoint, images, tmp_path: Path):
    for arguments, sentence in (
        ((checkpoint, tmp_path / 'nowhere.png'), 'nowhere.png cannot be read'),
        ((checkpoint, config), 'pictures.py cannot be read'),
        ((tmp_path / 'nowhere.pth', images[0]), 'nowhere.pth: the second argument must name one'),
        ((checkpoint, images[0], '--side', 10), '--side is 10: give at least 64'),
    ):
        with pytest.raises(SystemExit, match=sentence):
            tool(config, *arguments, '--out', tmp_path)
