"""Broken labels in the formats that are converted: a conversion gives COCO's JSON or a UserError, and never hangs."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from sparse_rcnn_ext.datasets.convert import convert_crowdhuman, convert_voc, convert_yolo
from sparse_rcnn_ext.datasets.convert.coco_json import CocoJson
from sparse_rcnn_ext.errors import UserError
from tests.datasets.convert.minis import HEIGHT, WIDTH, make_crowdhuman, make_voc, make_yolo
from tests.fuzz.conftest import TIMES
from tests.fuzz.mutation import mutate_bytes

CASES = 20 * TIMES


def voc(root: Path) -> dict[str, CocoJson]:
    return convert_voc(root, None, None)[0]


def yolo(root: Path) -> dict[str, CocoJson]:
    return convert_yolo(root / 'data.yaml', None)[0]


def yolo_folder(root: Path) -> dict[str, CocoJson]:
    return convert_yolo(root, None)[0]


def crowdhuman(root: Path) -> dict[str, CocoJson]:
    return convert_crowdhuman(root, None)


def make_yolo_folder(root: Path) -> None:
    """Lists of images and a file of names, as CVAT writes them."""
    make_yolo(root).unlink()
    (root / 'obj.names').write_text('left\nright\n')
    (root / 'obj.data').write_text('classes = 2\ntrain = train.txt\nvalid = val.txt\nnames = obj.names\n')
    for split in ('train', 'val'):
        images = sorted((root / 'images' / split).iterdir())
        (root / f'{split}.txt').write_text(''.join(f'{path.relative_to(root)}\n' for path in images))


MAKERS = {
    voc: lambda root: make_voc(root, ('left', 'right'), dict(train=range(3), val=range(3, 5))),
    yolo: make_yolo,
    yolo_folder: make_yolo_folder,
    crowdhuman: make_crowdhuman,
}


@pytest.mark.parametrize('convert', MAKERS)
def test_a_few(tmp_path, no_hang, convert: Callable[[Path], dict[str, CocoJson]]):
    MAKERS[convert](tmp_path)
    texts = sorted(path for path in tmp_path.rglob('*') if path.is_file() and path.suffix != '.jpg')
    assert convert(tmp_path)['train'].annotations
    converted = refused = 0
    for seed in range(CASES):
        chance = random.Random(f'{convert.__name__} {seed}')
        path = chance.choice(texts)
        good = path.read_bytes()
        path.write_bytes(mutate_bytes(good, chance))
        no_hang()
        try:
            for coco in convert(tmp_path).values():
                for left, top, width, height in (box['bbox'] for box in coco.annotations):
                    assert 0 <= left <= left + width <= WIDTH and 0 <= top <= top + height <= HEIGHT, seed
            converted += 1
        except UserError as error:
            assert len(str(error)) < 1500, seed
            refused += 1
        path.write_bytes(good)
    print(f'conversion of {convert.__name__}: {converted} read, {refused} refused')
    # Nothing of CrowdHuman is converted with a broken line.
    assert converted + refused == CASES and refused and (converted or convert is crowdhuman)
