"""The picture is drawn whatever the data are like."""

import numpy as np
import pytest
from PIL import Image

from sparse_rcnn_ext.datasets.check import check_datasets, draw_check
from sparse_rcnn_ext.datasets.check.picture import DROPPED, KEPT
from tests.datasets.check.small_data import SmallData, check


@pytest.fixture
def data(tmp_path) -> SmallData:
    return SmallData(tmp_path / 'data')


def draw(result, path) -> np.ndarray:
    """(h, w, 3) of the picture."""
    draw_check(result, 'Data of a test', path)
    return np.asarray(Image.open(path).convert('RGB'))


def pixels_of(picture: np.ndarray, color: tuple[float, float, float]) -> int:
    return int((np.abs(picture - 255 * np.array(color)).max(axis=-1) < 2).sum())


def test_kept_and_dropped_have_their_colours(data, tmp_path):
    clean = draw(check_datasets_of(data), tmp_path / 'clean.png')
    assert clean.shape[1] == 2000
    legend = pixels_of(clean, DROPPED)
    assert pixels_of(clean, KEPT) > 20 * legend > 0
    for number in range(9):
        data.add_box(bbox=[number, 1, 0, 5])
    rewrite(data)
    broken = draw(check_datasets_of(data), tmp_path / 'broken.png')
    assert pixels_of(broken, DROPPED) > 10 * legend


def check_datasets_of(data: SmallData):
    if not (data.root / 'images').is_dir():
        data.write()
    return check_datasets(data.config, ('train',), threads=1)


def rewrite(data: SmallData) -> None:
    (data.root / 'images').rename(data.root / 'old')
    data.write()


def test_images_beyond_the_proposals_stand_out(data, tmp_path):
    before = pixels_of(draw(check_datasets_of(data), tmp_path / 'a.png'), DROPPED)
    data.config.model.rpn_head.num_proposals = 2
    after = draw(check_datasets_of(data), tmp_path / 'b.png')
    # All four images have three boxes.
    assert pixels_of(after, DROPPED) > before + 1000


def test_a_row_for_each_data_set(data, tmp_path):
    both = draw(check(data), tmp_path / 'both.png')
    one = draw(check_datasets_of(data), tmp_path / 'one.png')
    assert both.shape[0] > 1.6 * one.shape[0]


@pytest.mark.parametrize('what', ['no boxes', 'no images', 'no proposals', 'many classes', 'many boxes'])
def test_unusual_data(data, tmp_path, what):
    if what == 'no boxes':
        data.train['annotations'].clear()
        data.config.train_dataloader.dataset.filter_cfg = None
    elif what == 'no images':
        data.train['annotations'].clear()
        data.train['images'].clear()
    elif what == 'no proposals':
        del data.config.model['rpn_head']
    elif what == 'many classes':
        names = ('a name of many words and letters that is too long', *(f'class {number}' for number in range(99)))
        data.train['categories'] = [dict(id=number, name=name) for number, name in enumerate(names)]
        data.config.train_dataloader.dataset.metainfo.classes = names
    else:
        for number in range(300):
            data.add_box(bbox=[number % 50, number % 30, 1 + number % 9, 30 - number % 20])
    picture = draw(check_datasets_of(data), tmp_path / 'a.png')
    assert picture.std() > 5
