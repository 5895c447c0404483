"""A share of the images is held out: the same everywhere, no image twice, and on record in the run's folder."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmengine.dataset import pseudo_collate
from numpy.random import default_rng
from torch.utils.data import ConcatDataset, DataLoader

from sparse_rcnn_ext.datasets.coco_file import HeldOutHook, part_of
from sparse_rcnn_ext.errors import UserError
from tests.engine.hooks.small_runner import Names, SmallDetector, make_runner


def images_named(*names: str) -> list[dict]:
    return [dict(id=number, file_name=name) for number, name in enumerate(names)]


def names_of(images: list[dict], part: str, fraction: float = 0.2, seed: int = 0) -> list[str]:
    return [image['file_name'] for image in part_of(images, part, fraction, seed)]


@given(count=st.integers(2, 60), fraction=st.floats(0.01, 0.9), seed=st.integers(-5, 2**40), order=st.integers(0, 99))
def test_parts_make_up_the_whole(count, fraction, seed, order):
    images = images_named(*(f'{number}.jpg' for number in range(count)))
    wanted = max(1, round(count * fraction))
    if wanted == count:
        with pytest.raises(UserError, match='leaves none to learn from'):
            part_of(images, 'val', fraction, seed)
        return
    train, val = (names_of(images, part, fraction, seed) for part in ('train', 'val'))
    assert len(val) == wanted
    assert sorted(train + val) == sorted(image['file_name'] for image in images)
    assert train == [image['file_name'] for image in images if image['file_name'] not in val]
    # Of another order, id or run.
    shuffled = [images[place] | dict(id=99 - place) for place in default_rng(order).permutation(count)]
    assert sorted(names_of(shuffled, 'val', fraction, seed)) == sorted(val)


def test_the_same_on_every_machine():
    images = images_named(*(f'cam/{number:03}.jpg' for number in range(10)))
    assert names_of(images, 'val') == ['cam/000.jpg', 'cam/004.jpg']
    assert names_of(images, 'val', seed=1) != names_of(images, 'val')


def test_more_images_move_few():
    images = images_named(*(f'{number}.jpg' for number in range(110)))
    before, after = (set(names_of(images[:count], 'val')) for count in (100, 110))
    assert len(before) == 20 and len(before - after) <= 5


def test_equal_names_are_split_by_their_place():
    assert [image['id'] for image in part_of(images_named('a', 'a', 'a', 'a'), 'val', 0.5)] == [0, 1]


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(val_fraction=0), 'val_fraction is 0: set it to a number between 0 and 1'),
        (dict(val_fraction=1.0), 'val_fraction is 1.0'),
        (dict(val_fraction='0.2'), "val_fraction is '0.2'"),
        (dict(val_fraction=0.2, split_seed=0.5), 'split_seed is 0.5: set it to a whole number'),
        (dict(val_fraction=0.2, part='test'), "part of a held_out is 'test': set it to 'train' or 'val'"),
        (dict(val_fraction=0.9), 'val_fraction=0.9 of 3 images holds out 3 and leaves none'),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(UserError, match=message):
        part_of(images_named('a', 'b', 'c'), **dict(part='val') | settings)


class Part(Names):
    """Two images, as a CocoDataset with ``held_out`` has them."""

    def __init__(self, held_out: dict | None) -> None:
        super().__init__(('cat', 'dog'))
        self.held_out = held_out

    def held_out_names(self) -> list[str]:
        return ['cam 1/b.jpg', '鳥.jpg']


@pytest.mark.parametrize('held_out', [dict(part='val', val_fraction=0.2, split_seed=0), None])
def test_written_where_something_is_held_out(tmp_path, held_out):
    loader = DataLoader(Part(held_out), collate_fn=pseudo_collate)
    make_runner(tmp_path, [HeldOutHook()], SmallDetector(2), val_dataloader=loader).train()
    path = tmp_path / 'held_out.txt'
    assert path.is_file() == (held_out is not None)
    assert held_out is None or path.read_text(encoding='utf-8') == 'cam 1/b.jpg\n鳥.jpg\n'


def test_written_of_each_part_of_joined_data(tmp_path):
    other = Part(dict(part='val', val_fraction=0.5, split_seed=0))
    other.held_out_names = lambda: ['x.jpg']
    joined = ConcatDataset([Part(dict(part='val', val_fraction=0.2, split_seed=0)), Part(None), other])
    loader = DataLoader(joined, collate_fn=pseudo_collate)
    make_runner(tmp_path, [HeldOutHook()], SmallDetector(2), val_dataloader=loader).train()
    assert (tmp_path / 'held_out.txt').read_text(encoding='utf-8') == 'cam 1/b.jpg\n鳥.jpg\nx.jpg\n'


def test_without_validation(tmp_path):
    settings = dict(val_dataloader=None, val_evaluator=None, val_cfg=None)
    make_runner(tmp_path, [HeldOutHook()], SmallDetector(2), **settings).train()
    assert not (tmp_path / 'held_out.txt').exists()
