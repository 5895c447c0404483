"""Data for the recipes that read theirs while they are evaluated."""

from pathlib import Path

import pytest

from tests.datasets.tiny_coco import cats_and_dogs, write


@pytest.fixture
def own_data_folder(tmp_path, monkeypatch) -> Path:
    """The current folder, with data/mine in it as Roboflow lays it out: two images of cats and dogs a split."""
    for number, split in enumerate(('train', 'valid')):
        folder = tmp_path / 'data/mine' / split
        write(folder / '_annotations.coco.json', cats_and_dogs(2, 10 * number), folder)
    monkeypatch.chdir(tmp_path)
    return tmp_path
