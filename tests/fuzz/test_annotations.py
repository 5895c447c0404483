"""Broken annotation files: what reads them succeeds or raises a UserError, never an error of a library, never hangs."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from sparse_rcnn_ext.datasets import CocoDataset, own_data
from sparse_rcnn_ext.datasets.check.annotations import read_annotations
from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.evaluation import CocoMetric, CrowdHumanMetric
from tests.datasets.convert.minis import person
from tests.datasets.tiny_coco import cats_and_dogs, write
from tests.fuzz.conftest import TIMES
from tests.fuzz.mutation import mutate_bytes, mutate_json

PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(64, 48), keep_ratio=True),
    dict(type='PackDetInputs'),
]
CLASSES = ('cat', 'dog')
CASES = 15 * TIMES


def found(image_id: object, name: str) -> dict:
    """A detection, as the model gives it."""
    boxes = InstanceData(
        bboxes=torch.tensor([[4.0, 6, 34, 26]]), scores=torch.tensor([0.9]), labels=torch.zeros(1, dtype=torch.int64)
    )
    sample = DetDataSample(metainfo=dict(img_id=image_id, img_path=name, ori_shape=(60, 80)), pred_instances=boxes)
    return sample.to_dict()


def read_for_training(path: Path) -> None:
    dataset = CocoDataset(str(path), data_prefix=dict(img=str(path.parent)), pipeline=PIPELINE, serialize_data=False)
    for index in range(len(dataset)):
        dataset[index]


def read_for_a_test(path: Path) -> None:
    dataset = CocoDataset(
        str(path),
        metainfo=dict(classes=CLASSES),
        data_prefix=dict(img=str(path.parent)),
        pipeline=PIPELINE,
        test_mode=True,
    )
    for index in range(len(dataset)):
        dataset[index]


def coco_metric(path: Path) -> None:
    metric = CocoMetric(str(path), metric='bbox', classwise=True)
    metric.dataset_meta = dict(classes=CLASSES)
    metric.process({}, [found(number, f'{number}.png') for number in range(2)])
    metric.evaluate(2)


def own_folder(path: Path) -> None:
    own_data.read(str(path.parent / 'mine'))


READERS = (read_for_training, read_for_a_test, coco_metric, own_folder, read_annotations)


@pytest.fixture
def fuzz(tmp_path, no_hang) -> Callable[..., tuple[int, int]]:
    """``fuzz(reader, cases)``: how many files were read, and how many refused."""
    good = cats_and_dogs(2)
    path = write(tmp_path / 'truth.json', good, tmp_path)
    (tmp_path / 'mine').mkdir()
    for split in ('train', 'val'):
        write(tmp_path / 'mine' / f'{split}.json', good, tmp_path / 'mine')

    def run(reader: Callable, cases: range) -> tuple[int, int]:
        read = refused = 0
        for seed in cases:
            rng = random.Random(f'{reader.__name__} {seed}')
            if seed % 3:
                content = json.dumps(mutate_json(good, rng)).encode()
            else:
                content = mutate_bytes(json.dumps(good).encode(), rng)
            path.write_bytes(content)
            (tmp_path / 'mine' / 'train.json').write_bytes(content)
            no_hang()
            try:
                reader(str(path), None) if reader is read_annotations else reader(path)
                read += 1
            except UserError as error:
                text = str(error)
                assert len(text) < 1500 and ('.json' in text or '.png' in text), (seed, text)
                refused += 1
        return read, refused

    return run


@pytest.mark.parametrize('reader', READERS)
def test_a_few(fuzz, reader):
    read, refused = fuzz(reader, range(CASES))
    print(f'{reader.__name__}: {read} read, {refused} refused')
    assert read + refused == CASES and refused


@pytest.fixture
def fuzz_odgt(tmp_path, no_hang) -> Callable[[range], tuple[int, int]]:
    """``fuzz_odgt(cases)``: how many of CrowdHuman's files were read, and how many refused."""
    good = [dict(ID=name, gtboxes=[person([10, 10, 30, 30]), person([5, 5, 20, 20], 'mask')]) for name in ('a', 'b')]
    path = tmp_path / 'truth.odgt'

    def run(cases: range) -> tuple[int, int]:
        read = refused = 0
        for seed in cases:
            rng = random.Random(seed)
            changed = mutate_json(good, rng) if seed % 2 else good
            content = '\n'.join(json.dumps(record) for record in changed).encode()
            path.write_bytes(content if seed % 2 else mutate_bytes(content, rng))
            metric = CrowdHumanMetric(str(path), metric=['AP', 'MR'])
            metric.process({}, [found(number, f'{name}.jpg') for number, name in enumerate('ab')])
            no_hang()
            try:
                assert 'crowd_human/recall' in metric.evaluate(2)
                read += 1
            except UserError as error:
                assert 'truth.odgt' in str(error)
                refused += 1
        return read, refused

    return run


def test_a_few_of_crowdhuman(fuzz_odgt):
    read, refused = fuzz_odgt(range(20 * TIMES))
    print(f'CrowdHuman metric: {read} read, {refused} refused')
    assert read and refused
