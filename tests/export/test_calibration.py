"""Images by which a detector is quantized."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config

from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.export.quantization import calibration_images
from tests.export.examples import read_recipe


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve images, each of one colour and a size of its own."""
    for number in range(12):
        image = np.full((20 + number, 30, 3), (10 * number, 0, 255), np.uint8)
        cv2.imwrite(str(tmp_path / f'{number:02}.png'), image)
    return tmp_path


def test_a_folder_gives_the_same_images_each_time(folder, capsys):
    drawn = [[image.shape[0] - 20 for image in calibration_images(Config(), str(folder), 5)] for _ in range(2)]
    assert drawn[0] == drawn[1] and len({*drawn[0]}) == 5 and drawn[0] != sorted(drawn[0])
    assert '5/5' in capsys.readouterr().err
    images = list(calibration_images(Config(), str(folder), 300))
    assert sorted(image.shape[0] for image in images) == [20 + number for number in range(12)]
    for image in images:  # RGB
        assert image.dtype == np.uint8 and image[0, 0].tolist() == [255, 0, 10 * (image.shape[0] - 20)]


def test_a_split_gives_its_images_without_augmentation(repo_dir, shared_dir):
    cfg = read_recipe(repo_dir)
    for split in ('train', 'val'):
        cfg[f'{split}_dataloader'].dataset.data_root = f'{shared_dir}/data/coco_mini/'
    cfg.val_evaluator.ann_file = f'{shared_dir}/data/coco_mini/annotations/instances_val2017.json'
    images = list(calibration_images(cfg, 'train', 3))
    assert len(images) == 3
    paths = (shared_dir / 'data/coco_mini/train2017').glob('*.jpg')
    files = {cv2.imread(str(path))[..., ::-1].tobytes() for path in paths}
    assert {image.tobytes() for image in images} <= files
    assert not {image.tobytes() for image in calibration_images(cfg, 'val', 3)} & files


@pytest.mark.parametrize('size', [None, 0, 900])
def test_an_image_of_a_split_that_cannot_be_read_is_named(repo_dir, shared_dir, tmp_path, size):
    """Missing, empty, cut off."""
    data = shared_dir / 'data/coco_mini'
    for name in ('annotations', 'train2017'):
        shutil.copytree(data / name, tmp_path / name)
    file = sorted((tmp_path / 'train2017').iterdir())[0]
    content = file.read_bytes()
    file.unlink()
    if size is not None:
        file.write_bytes(content[:size])
    cfg = read_recipe(repo_dir)
    cfg.train_dataloader.dataset.data_root = f'{tmp_path}/'
    with pytest.raises(UserError, match=rf'^--calibrate: .*{file.name} cannot be read \(.+\): take it out$'):
        list(calibration_images(cfg, 'train', 300))


def test_mistakes_end_in_one_sentence(folder, tmp_path):
    (tmp_path / 'nothing').mkdir()
    (tmp_path / 'mine.py').write_text('train_dataloader = None')
    cfg = Config.fromfile(tmp_path / 'mine.py')
    for source, sentence in (
        ('train', 'mine.py has no train_dataloader: give --calibrate a folder of images'),
        (str(tmp_path / 'none'), '--calibrate: .*none'),
        (str(tmp_path / 'nothing'), '--calibrate: .*nothing'),
    ):
        with pytest.raises(UserError, match=sentence) as error:
            calibration_images(cfg, source, 5)
        assert '\n' not in str(error.value)
    (folder / '05.png').write_bytes((folder / '05.png').read_bytes()[:40])
    with pytest.raises(UserError, match=r'--calibrate: .*05\.png cannot be read .*: take it out'):
        list(calibration_images(cfg, str(folder), 12))
