"""tools/analysis/browse.py: once as a user runs it, then its main(), which saves the start of a process."""

import importlib.util

import cv2
import numpy as np
import pytest

from tests.configs.recipe_640 import RECIPE


@pytest.fixture(scope='module')
def browse(repo_dir):
    """``browse(argument, …)`` runs the tool in this process."""
    spec = importlib.util.spec_from_file_location('browse', repo_dir / 'tools/analysis/browse.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return lambda *arguments: module.main([str(argument) for argument in arguments])


def picture(path) -> np.ndarray:
    image = cv2.imread(str(path))
    assert image is not None
    return image


def test_any_config(run_tool, tiny_config, tmp_path):
    result = run_tool('analysis/browse.py', tiny_config, '--number', 6, cwd=tmp_path)
    assert result.returncode == 0, result.stdout
    out = tmp_path / 'work_dirs/tiny/training_images.png'
    assert result.stdout.splitlines()[-1] == f'Wrote {out.relative_to(tmp_path)}'
    # Four images, so two of them twice, in two rows.
    height, width = picture(out).shape[:2]
    assert width > 4 * 480 and 2 * 300 < height < 3 * 480


def test_seed_and_recipe(browse, shared_dir, tmp_path):
    """Mosaics of the 640 recipe, as JPEG; the seed decides what they look like."""
    root = f'train_dataloader.dataset.data_root={shared_dir}/data/coco_mini/'
    sheets = []
    for name, seed in (('a.jpg', 5), ('b.jpg', 5), ('c.jpg', 6)):
        out = tmp_path / name
        browse(RECIPE, '--number', 2, '--side', 200, '--seed', seed, '--out', out, '--cfg-options', root)
        sheets.append(picture(out))
    assert sheets[0].std() > 30 and 400 < sheets[0].shape[1] < 500
    np.testing.assert_array_equal(sheets[0], sheets[1])
    assert (sheets[0] != sheets[2]).mean() > 0.2


@pytest.mark.parametrize(
    ('arguments', 'sentence'),
    [
        (['--out', 'sheet.bmp'], 'error: --out is sheet.bmp: give a file that ends in .png or .jpg or .jpeg'),
        (['--number', 0], 'error: --number is 0: give at least 1'),
        (['--side', 63], 'error: --side is 63: give at least 64'),
        (
            ['--cfg-options', 'train_dataloader.dataset.data_root=nowhere/'],
            'nowhere/annotations/instances_train2017.json',
        ),
    ],
)
def test_user_errors_are_one_sentence(browse, tiny_config, arguments, sentence):
    with pytest.raises(SystemExit) as stopped:
        browse(tiny_config, *arguments)
    assert sentence in stopped.value.code and '\n' not in stopped.value.code
