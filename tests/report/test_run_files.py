"""Config, weights and environment of a run."""

from pathlib import Path

import pytest

from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.report.run_files import find_checkpoint, find_config, read_environment
from tests.report.conftest import TIME


def test_config_is_the_trainings_and_not_a_tests(run: Path):
    (run / 'recipe.py').write_text('written_by = "a test"\n')
    later = run / '20270101_000000/vis_data'
    later.mkdir(parents=True)
    (later / 'config.py').write_text('written_by = "a test"\n')
    assert find_config(run) == run / TIME / 'vis_data/config.py'


def test_config_without_a_log(tmp_path: Path):
    with pytest.raises(UserError, match='is no folder of a run'):
        find_config(tmp_path)
    (tmp_path / 'recipe.py').touch()
    assert find_config(tmp_path) == tmp_path / 'recipe.py'


def test_checkpoint_of_a_folder_that_was_moved(run: Path):
    assert find_checkpoint(run) == run / 'epoch_2.pth'
    (run / 'epoch_2.pth').unlink()
    assert find_checkpoint(run) is None
    (run / 'last_checkpoint').unlink()
    assert find_checkpoint(run) is None


def test_checkpoints_in_another_folder(run: Path):
    """As out_dir of the checkpoint hook puts them."""
    elsewhere = run.parent / 'elsewhere/run'
    elsewhere.mkdir(parents=True)
    (run / 'epoch_2.pth').rename(elsewhere / 'epoch_2.pth')
    (run / 'last_checkpoint').write_text('../elsewhere/run/epoch_2.pth')
    assert find_checkpoint(run).resolve() == (elsewhere / 'epoch_2.pth').resolve()


def test_environment(run: Path):
    expected = [('sys.platform', 'linux'), ('PyTorch', '2.11.0'), ('OpenCV', '4.12.0'), ('seed', '7')]
    assert read_environment(run) == expected
    (run / TIME / f'{TIME}.log').unlink()
    assert read_environment(run) == []
