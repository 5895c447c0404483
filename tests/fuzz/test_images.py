"""Broken image files: a data set gives the image or a UserError, never an error of a library, never a hang."""

import random

import cv2
import numpy as np
import pytest

from sparse_rcnn_ext.datasets import CocoDataset
from sparse_rcnn_ext.datasets.image_files import ImageRequest, read_image
from sparse_rcnn_ext.errors import UserError
from tests.datasets.tiny_coco import HEIGHT, WIDTH, cats_and_dogs, write
from tests.fuzz.conftest import TIMES
from tests.fuzz.mutation import mutate_bytes

PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(64, 48), keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
REDUCED = [PIPELINE[1], dict(type='sparse_rcnn_ext.LoadReducedImage', long_side=32), *PIPELINE[2:]]
KINDS = ('.jpg', '.png', '.bmp', '.webp', '.tif', '.gif')
CASES = 10 * TIMES


def run(tmp_path, no_hang, kind: str, cases: range) -> tuple[int, int]:
    """How many files gave an image, and how many a sentence."""
    name = f'0{kind}'
    content = cats_and_dogs(1)
    content['images'][0]['file_name'] = name
    write(tmp_path / 'truth.json', content)
    settings = dict(data_root=str(tmp_path), ann_file='truth.json', data_prefix=dict(img=''), serialize_data=False)
    datasets = [CocoDataset(pipeline=pipeline, **settings) for pipeline in (PIPELINE, REDUCED)]
    pixels = cv2.resize(np.random.default_rng(0).integers(0, 255, (6, 8, 3), np.uint8), (WIDTH, HEIGHT))
    good = cv2.imencode(kind, pixels)[1].tobytes()
    given = refused = 0
    for seed in cases:
        (tmp_path / name).write_bytes(mutate_bytes(good, random.Random(f'{kind} {seed}')))
        no_hang()
        for dataset in datasets:
            try:
                assert dataset[0]['inputs'].shape == (3, 48, 64), seed
                given += 1
            except UserError as error:
                assert name in str(error) and '1 of the 1 images' in str(error), seed
                refused += 1
        found = read_image(ImageRequest(str(tmp_path / name), 'color', 'cv2', ()))
        assert found.problem is None or found.width == 0
    return given, refused


@pytest.mark.parametrize('kind', KINDS)
def test_a_few(tmp_path, no_hang, kind):
    given, refused = run(tmp_path, no_hang, kind, range(CASES))
    print(f'images {kind}: {given} read, {refused} refused')
    assert given + refused == 2 * CASES and refused
